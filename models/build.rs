//! Writes the mutants: copies of the source of the stock counter, the count of gives, the next deadline and the
//! journal's hand-off, each with one fault.
//!
//! If a mutant's text is not in the source exactly once, the build fails: that mutant would test nothing.

#[path = "mutants/handoff.rs"]
mod handoff;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const COUNTER: &str = "stock.rs";
const GUARD: &str = "stock/guard.rs";
const WORD: &str = "stock/word.rs";
const MOVING: &str = "stock/moving.rs";
const NEXT_DUE: &str = "next_due.rs";

/// One fault.
struct Mutant {
    name: &'static str,
    file: &'static str,
    sound: &'static str,
    spoilt: &'static str,
}

const MUTANTS: [Mutant; 22] = [
    Mutant {
        name: "doubt_ends_before_giving",
        file: COUNTER,
        sound: "        if self.give_to_home(units) {\n            self.end_doubt();\n        } else {\n            \
                self.give_to_core(units, units.wrapping_sub(ONE_DOUBT));\n        }",
        spoilt: "        self.end_doubt();\n        self.give(units);",
    },
    Mutant {
        name: "doubt_begins_after_taking",
        file: COUNTER,
        sound: "let doubt = self.begin_doubt();\n                let took = self.change_home(|shard| \
                shard.without(units));\n                took.then(|| doubt.into_taken(units))",
        spoilt: "let took = self.change_home(|shard| shard.without(units));\n                \
                 took.then(|| self.begin_doubt().into_taken(units))",
    },
    Mutant {
        name: "kept_doubt_never_ends",
        file: GUARD,
        sound: "Certainty::Doubtful => self.counter.end_doubt(),\n        }\n        mem::forget",
        spoilt: "Certainty::Doubtful => {}\n        }\n        mem::forget",
    },
    Mutant {
        name: "refusal_ignores_doubts",
        file: WORD,
        sound: "} else if self.doubts() == 0 {",
        spoilt: "} else if self.doubts() <= DOUBTS_MAX {",
    },
    Mutant {
        name: "less_is_taken_beside_doubts",
        file: WORD,
        sound: "            PeekResult::MayServe | PeekResult::InDoubt => most,",
        spoilt: "            PeekResult::MayServe => most,\n            \
                PeekResult::InDoubt if self.units() == 0 => most,\n            \
                PeekResult::InDoubt => self.units(),",
    },
    Mutant {
        name: "refusal_ignores_the_mark",
        file: WORD,
        sound: "if !self.is_folded() || free >= units {\n            PeekResult::MayServe",
        spoilt: "if free >= units {\n            PeekResult::MayServe",
    },
    Mutant {
        name: "mark_before_units",
        file: COUNTER,
        sound: "        for shard in &self.shards {\n            // A swap,",
        spoilt: "        self.core.fetch_or(FOLDED, Ordering::AcqRel);\n        for shard in &self.shards {\n            \
                // A swap,",
    },
    Mutant {
        name: "shard_read_then_shut",
        file: COUNTER,
        sound: "Shard(shard.swap(SHUT, Ordering::AcqRel)).open()",
        spoilt: "Shard({\n                let held = shard.load(Ordering::Acquire);\n                \
                 shard.store(SHUT, Ordering::Release);\n                held\n            })\n            .open()",
    },
    Mutant {
        name: "relaxed_shutting",
        file: COUNTER,
        sound: "shard.swap(SHUT, Ordering::AcqRel)",
        spoilt: "shard.swap(SHUT, Ordering::Relaxed)",
    },
    Mutant {
        name: "relaxed_change_of_a_shard",
        file: COUNTER,
        sound: "home.compare_exchange_weak(held, wanted, Ordering::AcqRel, Ordering::Acquire)",
        spoilt: "home.compare_exchange_weak(held, wanted, Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        name: "relaxed_giving_to_core",
        file: COUNTER,
        sound: "let before = self.core.fetch_add(change, Ordering::AcqRel);",
        spoilt: "let before = self.core.fetch_add(change, Ordering::Relaxed);",
    },
    Mutant {
        name: "shards_open_under_the_mark",
        file: COUNTER,
        sound: "            let rest = core.spread(",
        spoilt: "            for shard in &self.shards {\n                \
                shard.store(share, Ordering::Release);\n            }\n            let rest = core.spread(",
    },
    Mutant {
        name: "giving_to_a_shut_shard",
        file: WORD,
        sound: "            Some(held) => Some(held.wrapping_add(units)),\n            None => None,",
        spoilt: "            Some(held) => Some(held.wrapping_add(units)),\n            None => Some(units),",
    },
    Mutant {
        name: "shown_after_the_list_is_unlocked",
        file: NEXT_DUE,
        sound: "        next_due.show(next)",
        spoilt: "        drop(firsts);\n        next_due.show(next)",
    },
    Mutant {
        name: "a_stripe_is_left_out",
        file: NEXT_DUE,
        sound: "let next = firsts.iter().copied().min()",
        spoilt: "let next = firsts.iter().skip(1).copied().min()",
    },
    Mutant {
        name: "shown_relaxed",
        file: NEXT_DUE,
        sound: "self.0.store(next.0, Ordering::Release)",
        spoilt: "self.0.store(next.0, Ordering::Relaxed)",
    },
    Mutant {
        name: "read_relaxed",
        file: NEXT_DUE,
        sound: "Timestamp(self.0.load(Ordering::Acquire))",
        spoilt: "Timestamp(self.0.load(Ordering::Relaxed))",
    },
    Mutant {
        name: "counted_before_the_give_alone",
        file: MOVING,
        sound: "        self.0.fetch_add(ONE_BEGUN.wrapping_add(ONE_IN_FLIGHT), Ordering::AcqRel);\n        \
                give();\n        self.0.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel);",
        spoilt: "        self.0.fetch_add(ONE_BEGUN, Ordering::AcqRel);\n        give();",
    },
    Mutant {
        name: "counted_after_the_give_alone",
        file: MOVING,
        sound: "        self.0.fetch_add(ONE_BEGUN.wrapping_add(ONE_IN_FLIGHT), Ordering::AcqRel);\n        \
                give();\n        self.0.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel);",
        spoilt: "        give();\n        self.0.fetch_add(ONE_BEGUN, Ordering::AcqRel);",
    },
    Mutant {
        name: "read_while_a_give_is_in_flight",
        file: MOVING,
        sound: "in_flight(before) == 0 && self",
        spoilt: "in_flight(before) < ONE_BEGUN && self",
    },
    Mutant {
        name: "a_give_lands_relaxed",
        file: MOVING,
        sound: "self.0.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel)",
        spoilt: "self.0.fetch_sub(ONE_IN_FLIGHT, Ordering::Relaxed)",
    },
    Mutant {
        name: "the_end_of_a_doubt_gives_uncounted",
        file: COUNTER,
        sound: "            Some(moving) => moving.count(|| self.give_and_end_doubt_uncounted(units)),",
        spoilt: "            Some(_) => self.give_and_end_doubt_uncounted(units),",
    },
];

/// The shipped source, with the mutant's change if it belongs to this file.
fn spoil(mutant: &Mutant, file: &str, source: &str) -> Result<String, String> {
    if mutant.file != file {
        return Ok(source.to_owned());
    }
    match source.matches(mutant.sound).count() {
        1 => Ok(source.replacen(mutant.sound, mutant.spoilt, 1)),
        found => Err(format!("mutant {}: its text stands {found} times in {file}, not once", mutant.name)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a build script is told its folders by cargo, in the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    // Both kinds of models use this build script; one is a folder deeper than the other.
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here.ancestors().find(|folder| folder.join("models/build.rs").exists()).ok_or("no root")?;
    let inventory = root.join("crates/counter/src");
    let scenarios = root.join("models/src/scenarios/mod.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut modules = String::new();
    for mutant in &MUTANTS {
        let folder = out.join(mutant.name);
        fs::create_dir_all(folder.join("stock"))?;
        write_mutant(mutant, &inventory, &folder, &[COUNTER, GUARD, WORD, MOVING, NEXT_DUE])?;
        writeln!(modules, "/// The source with one thing spoilt: `{}`.", mutant.name)?;
        writeln!(modules, "#[path = r\"{}\"]\npub mod {} {{", folder.display(), mutant.name)?;
        writeln!(modules, "    mod next_due;\n    pub mod stock;\n    #[path = r\"{}\"]", scenarios.display())?;
        writeln!(modules, "    pub mod scenarios;\n}}")?;
    }
    write_handoff(root, &out, &mut modules)?;
    fs::write(out.join("mutants.rs"), modules)?;
    for source in ["models/build.rs", "models/mutants", "crates/journal/src"] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo:rerun-if-changed={}", inventory.join(COUNTER).display());
    println!("cargo:rerun-if-changed={}", inventory.join(NEXT_DUE).display());
    println!("cargo:rerun-if-changed={}", inventory.join("stock").display());
    Ok(())
}

fn write_handoff(root: &Path, out: &Path, modules: &mut String) -> Result<(), Box<dyn Error>> {
    let scenarios = root.join("models/src/handoff/mod.rs");
    for mutant in &handoff::MUTANTS {
        let folder = out.join(mutant.name);
        fs::create_dir_all(&folder)?;
        write_mutant(mutant, &root.join("crates/journal/src"), &folder, &handoff::FILES)?;
        writeln!(modules, "/// The hand-off with one thing spoilt: `{}`.", mutant.name)?;
        writeln!(modules, "#[path = r\"{}\"]\npub mod {} {{", folder.display(), mutant.name)?;
        for file in handoff::FILES {
            writeln!(modules, "    pub mod {};", file.trim_end_matches(".rs"))?;
        }
        writeln!(modules, "    use crate::stand_ins::{{JournalMetrics, Start, frame, log, segment}};")?;
        writeln!(modules, "    #[path = r\"{}\"]\n    pub mod handoff;\n}}", scenarios.display())?;
    }
    Ok(())
}

fn write_mutant(mutant: &Mutant, sound: &Path, folder: &Path, files: &[&str]) -> Result<(), Box<dyn Error>> {
    for file in files {
        let source = fs::read_to_string(sound.join(file))?;
        fs::write(folder.join(file), spoil(mutant, file, &source)?)?;
    }
    Ok(())
}
