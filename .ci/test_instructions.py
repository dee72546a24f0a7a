"""The comparison of instruction counts finds what it must: `python3 -m unittest discover -s .ci`."""

import unittest

import instructions

BASELINE = {"claim": 2_000, "reserve": 1_000}


class Comparison(unittest.TestCase):
    def findings(self, **now):
        return instructions.compare(BASELINE, {**BASELINE, **now})[1]

    def test_growth_of_six_percent_fails_and_is_named(self):
        (finding,) = self.findings(reserve=1_060)
        self.assertIn("reserve takes 6.0 % more", finding)

    def test_five_percent_is_allowed_and_not_one_instruction_more(self):
        self.assertEqual(self.findings(reserve=1_050, claim=2_100), [])
        self.assertEqual(len(self.findings(reserve=1_051, claim=2_101)), 2)

    def test_shrinking_is_no_finding_but_asks_for_a_new_baseline(self):
        _, findings, notes = instructions.compare(BASELINE, {**BASELINE, "claim": 1_800})
        self.assertEqual(findings, [])
        self.assertIn("claim takes 10.0 % fewer", notes[0])

    def test_what_is_new_or_gone_is_a_finding(self):
        self.assertEqual(self.findings(extend=500), ["extend is not in the baseline"])
        gone = instructions.compare(BASELINE, {"claim": 2_000})[1]
        self.assertEqual(gone, ["reserve is in the baseline, but is not counted any more"])

    def test_the_table_has_a_line_for_each(self):
        rows, _, _ = instructions.compare(BASELINE, {"claim": 2_100, "extend": 500})
        lines = instructions.table(rows).splitlines()
        self.assertEqual(lines[1].split(), ["claim", "2,000", "2,100", "+5.0", "%"])
        self.assertEqual([line.split()[:3] for line in lines[2:]], [["extend", "-", "500"], ["reserve", "1,000", "-"]])


if __name__ == "__main__":
    unittest.main()
