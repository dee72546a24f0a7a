//! Drops with rules on the command line: changed by file, copied to another day, fired by hand.

use stockade_types::time::{Millis, Timestamp};

use crate::cli::{code, err, out, stockade};
use crate::common::hold_id;
use crate::rules::{OPENING, Shop};

const FILE: &str = "kind: Drop
id: d
opens_at: 2026-12-04T18:00:00+01:00
closes_at: 2026-12-04T20:00:00+01:00
time_zone: Europe/Berlin
items:
  - sku: KNIFE
    quantity: 100
    pools:
      - {id: members, share: 12%, audience: {tiers: [member]}, flows: [{to: public}]}
      - {id: public}
      - {id: counter, units: 8, place: Counter}
windows:
  - {id: members, audience: {tiers: [member]}}
  - {id: all, starts: {local: {time: \"18:10\"}}}
terms:
  - {id: usual, price: 12.50 EUR}
";

struct Files {
    shop: Shop,
    folder: tempfile::TempDir,
}

impl Files {
    async fn new() -> Self {
        let shop = Shop::at(Timestamp(OPENING.0 - 3_600_000)).await;
        Self { shop, folder: tempfile::tempdir().expect("a folder") }
    }

    fn run(&self, words: &[&str]) -> (i32, String) {
        let output = stockade(&self.shop.endpoint, words);
        (code(&output), out(&output) + &err(&output))
    }

    fn apply(&self, text: &str, words: &[&str]) -> (i32, String) {
        let file = self.folder.path().join("drop.yaml").display().to_string();
        std::fs::write(&file, text).expect("a file");
        self.run(&[&["drop", "apply", &file], words].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_changes_the_rules_that_it_states_and_keeps_the_others() {
    let files = Files::new().await;
    assert_eq!(files.apply(FILE, &[]), (0, "drop d created, revision 1\n".to_owned()));
    assert_eq!(files.apply(FILE, &[]), (0, "drop d unchanged, revision 1\n".to_owned()));

    let moved = FILE.replace("18:10", "18:15").replace("12.50", "13.00");
    let (code, output) = files.apply(&moved, &["--dry-run"]);
    let lines = [
        "drop d would be changed: windows, terms; revision is 1",
        "  windows[all]: everyone may reserve everything, from 18:10 on the day of the opening -> everyone may reserve \
         everything, from 18:15 on the day of the opening",
        "  terms[usual]: 12.50 EUR for everything, for everyone -> 13.00 EUR for everything, for everyone",
    ];
    assert!(code == 0 && output.starts_with(&lines.join("\n")), "{output}");
    assert!(files.apply(&moved, &[]).1.contains("drop d changed: windows, terms; revision 1 became 2"));

    // What a file does not state stays.
    let (head, _) = moved.split_once("items:").expect("items");
    let plain = format!("{head}items: [{{sku: KNIFE, quantity: 100}}]\ntitle: Knives\n");
    let (code, output) = files.apply(&plain, &[]);
    assert!(code == 0 && output.contains("drop d changed: title; revision 2 became 3"), "{output}");
    let strict = "conduct: [{id: c, counts: returns, at_least: 3, within: 90d, max_units: 1}]\n";
    let (code, output) = files.apply(&format!("{plain}{strict}"), &["--dry-run"]);
    let line = "  conduct[c]: - -> a customer with 3 returns within 90 days: 1 unit at most";
    assert!(code == 0 && output.contains(line), "{output}");
    let none = format!("{plain}windows: []\n");
    assert!(files.apply(&none, &[]).1.contains("drop d changed: windows; revision 3 became 4"));
    let (code, output) = files.apply(&moved.replace("units: 8", "units: 9"), &[]);
    assert!(code == 1 && output.contains("drop d is SCHEDULED: drop.items[0].pools can't be changed"), "{output}");
    let (code, output) = files.apply(&FILE.replace("Europe/Berlin", "Europe/Atlantis"), &["--dry-run"]);
    assert!(code == 64 && output.contains("drop.time_zone"), "{output}");
    let (code, output) = files.apply(&format!("{FILE}payment_ttl: 1m\n").replace("id: d\n", "id: e\n"), &["--dry-run"]);
    assert!(code == 0 && output.contains("warning: drop.payment_ttl: "), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_is_copied_to_a_day_with_another_offset_by_the_clock_on_the_wall() {
    let files = Files::new().await;
    let dated = FILE.replace("starts: {local: {time: \"18:10\"}}", "starts: {at: 2026-12-04T18:30:00+01:00}");
    assert_eq!(files.apply(&dated, &[]).0, 0);
    let summer = ["drop", "clone", "d", "e", "--opens-at", "2027-07-02T19:00:00+02:00"];
    let (code, output) = files.run(&[&summer[..], &["--dry-run"]].concat());
    assert!(code == 0 && output.starts_with("drop e would be created\n"), "{output}");
    for line in [
        "2027-07-02 19:30:00 +02:00  window all opens: everyone may reserve everything",
        "2027-07-02 21:00:00 +02:00  closes: live holds can still be claimed",
    ] {
        assert!(output.lines().any(|output| output == line), "{line} in\n{output}");
    }
    assert!(files.run(&summer).1.starts_with("drop e created, revision "));
    assert_eq!(files.run(&["drop", "clone", "d", "f", "--opens-at", "tomorrow"]).0, 64);
    assert_eq!(files.run(&["drop", "clone", "nowhere", "f", "--opens-at", "2027-07-02T19:00:00+02:00"]).0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_names_tiers_and_pools_and_staff_opens_a_pool() {
    let files = Files::new().await;
    assert_eq!(files.apply(FILE, &[]).0, 0);
    files.shop.pass(Millis::from_secs(3_600)).await;
    let reserve = |id: &str, more: &[&str]| {
        let words = ["reserve", "d", "--sku", "KNIFE", "--customer", id, "--hold-id", id];
        files.run(&[&words[..], more].concat())
    };
    let ids = [1, 2, 3, 4].map(hold_id);
    let (code, output) = reserve(&ids[0], &["--tier", "member"]);
    let words: Vec<_> = output.lines().last().expect("a line").split_ascii_whitespace().collect();
    assert_eq!((code, words), (0, "KNIFE members 1 0 0 members usual 12.50 EUR".split(' ').collect()), "{output}");
    let (code, output) = reserve(&ids[1], &[]);
    assert!(code == 1 && output.starts_with("refused: NOT_OPEN: "), "{output}");
    let (code, output) = reserve(&ids[1], &["--pool", "KNIFE=counter", "--override-windows", "asked in person"]);
    assert!(code == 0 && output.contains("KNIFE  counter"), "{output}");
    assert_eq!(reserve(&ids[2], &["--pool", "KNIFE"]).0, 64);
    let (code, output) = files.run(&["drop", "fire", "d", "KNIFE", "members", "public"]);
    assert!(code == 0 && output.contains("pool members of KNIFE opens to those of pool public (it has)"), "{output}");
    let (code, output) = files.run(&["drop", "show", "d"]);
    assert!(code == 0 && output.lines().any(|line| line.trim_start().starts_with("members  12 ")), "{output}");
    let (code, output) = files.run(&["drop", "fire", "d", "KNIFE", "public", "members"]);
    assert!(code == 64 && output.contains("pool public has no flow to members"), "{output}");
}

/// A hold's lines as the command line prints them: pool, units, released, returned.
fn shown(output: &str) -> Vec<[&str; 4]> {
    let rows = output.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    rows.filter_map(|row| match row[..] {
        ["KNIFE", pool, units, released, returned, ..] => Some([pool, units, released, returned]),
        _ => None,
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_a_claim_and_a_return_name_the_pool_whose_units_they_are_about() {
    let files = Files::new().await;
    assert_eq!(files.apply(FILE, &[]).0, 0);
    files.shop.pass(Millis::from_secs(3_600)).await;
    // One member has three units of the members' pool and two of the public one, in one hold and in another.
    let ids = [1, 2].map(hold_id);
    for id in &ids {
        let reserve = ["reserve", "d", "--sku", "KNIFE=3", "--pool", "KNIFE=members", "--sku", "KNIFE=2"];
        let member = ["--pool", "KNIFE=public", "--customer", "ann", "--tier", "member", "--hold-id", id];
        let (code, output) = files.run(&[&reserve[..], &member].concat());
        assert_eq!(
            (code, shown(&output)),
            (0, vec![["members", "3", "0", "0"], ["public", "2", "0", "0"]]),
            "{output}"
        );
    }
    let [one, other] = &ids;

    // Without a pool the first line is kept; with one only what is named.
    let (_, output) = files.run(&["release", one, "--keep", "KNIFE=4"]);
    assert_eq!(shown(&output), [["members", "3", "0", "0"], ["public", "1", "1", "0"]], "{output}");
    let (_, output) = files.run(&["release", one, "--keep", "KNIFE=1", "--pool", "KNIFE=public"]);
    assert_eq!(shown(&output), [["members", "0", "3", "0"], ["public", "1", "1", "0"]], "{output}");

    let both = ["--sku", "KNIFE=2", "--sku", "KNIFE=1", "--pool", "KNIFE=members", "--pool", "KNIFE=public"];
    let (code, output) = files.run(&[&["claim", other, "--order", "A-1"], &both[..]].concat());
    assert_eq!((code, shown(&output)), (0, vec![["members", "2", "1", "0"], ["public", "1", "1", "0"]]), "{output}");
    let (code, output) = files.run(&["return", other, "--sku", "KNIFE=1", "--pool", "KNIFE=members", "--restock"]);
    assert_eq!((code, shown(&output)), (0, vec![["members", "1", "1", "1"], ["public", "1", "1", "0"]]), "{output}");

    // A pool that the item does not have, of a SKU that is not named, or more of them than lines.
    let (code, output) = files.run(&["return", other, "--sku", "KNIFE=1", "--pool", "KNIFE=vault"]);
    assert!(code == 64 && output.contains("returned[0].pool"), "{output}");
    let (code, output) = files.run(&["claim", other, "--order", "A-1", "--pool", "KNIFE=members"]);
    assert!(code == 64 && output.contains("--pool names \"KNIFE\", which no line has"), "{output}");
    let (code, output) = files.run(&[&["release", one, "--keep", "KNIFE"], &both[4..]].concat());
    assert!(code == 64 && output.contains("--pool names 2 pools for 1 lines of \"KNIFE\""), "{output}");
}
