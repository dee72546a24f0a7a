//! Every file of a data folder: cut at every byte, with every byte changed, and missing.
//!
//! The engine must start with the state after some record, which is the last one unless the report says what was cut.
//! Or it must refuse, change nothing and name the place. The offline check must say the same.

use stockade_journal::LogError;
use stockade_journal::snapshot::load;
use stockade_simulation::prelude::*;

use crate::history::{Image, No, Part, Played, folder, start};

/// The result of a start on a changed folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    /// It started with the state after this record. These snapshots were skipped, and this many bytes of the journal
    /// were reported as cut, if any.
    Started { last: Lsn, skipped: Vec<String>, cut: Option<u64> },
    /// It was refused, with this message.
    Refused(String),
}

/// Checks a changed folder offline, then starts on it.
fn tried(played: &Played, image: &Image, durability: Durability, what: &str) -> Came {
    let mut world = image.world();
    world.options.log.durability = durability;
    let verified = folder(&world).map(|folder| verify_folder(&folder));
    assert_eq!(&Image::of(&world), image, "{what}: looking changes nothing");
    let well = matches!(&verified, Ok(Ok(verified)) if verified.findings.is_empty());
    match start(&world) {
        Ok(recovered) => {
            let report = recovered.report;
            let state = recovered.engine.inventory().digest();
            assert!(report.last <= played.end(), "{what}: {report:?}");
            assert!(state == played.state(report.last), "{what}: a wrong state after {}: {report:?}", report.last);
            assert_eq!(recovered.engine.conservation_error(), 0, "{what}");
            assert_eq!(report.skipped.len(), report.set_aside.len(), "{what}: {report:?}");
            if let Some(cut) = &report.cut {
                assert_eq!(cut.lsn, report.last.next(), "{what}: what was lost is reported: {report:?}");
                let bytes = image.journal[&cut.file].len();
                assert_eq!(cut.offset + cut.bytes, u64::try_from(bytes).expect("small"), "{what}: {report:?}");
            }
            // Damaged snapshots that a start would not read are findings too.
            assert!(!well || report.skipped.is_empty(), "{what}: verify tells what a start does not use: {report:?}");
            Came::Started { last: report.last, skipped: report.skipped, cut: report.cut.map(|cut| cut.bytes) }
        }
        Err(no) => {
            assert!(!well, "{what}: verify finds nothing, but {}", no.text());
            assert_eq!(&Image::of(&world), image, "{what}: a refused folder is left alone");
            Came::Refused(no_with_a_place(&no, image, what))
        }
    }
}

/// The message of a refusal, which must name the place of the damage.
fn no_with_a_place(no: &No, image: &Image, what: &str) -> String {
    let text = no.text();
    match no {
        No::Folder(_) => assert!(text.contains("stockade.meta") || text.contains("format version"), "{what}: {text}"),
        No::Start(RecoverError::Journal(LogError::Damage { place, .. })) => {
            let bytes = image.journal[&place.file].len();
            assert!(place.offset <= u64::try_from(bytes).expect("small"), "{what}: {text}");
        }
        No::Start(RecoverError::Journal(LogError::Foreign { file, .. })) => {
            assert!(image.journal.contains_key(file), "{what}: {text}");
        }
        No::Start(RecoverError::NoSnapshot { .. } | RecoverError::Behind { .. }) => {
            assert!(text.contains("snapshot"), "{what}: {text}");
        }
        No::Start(other) => panic!("{what}: another no than one for bad bytes: {other}"),
    }
    text
}

/// Each file with one byte changed, one bit of each byte in turn.
fn changed(image: &Image, part: Part) -> impl Iterator<Item = (Image, String, usize)> {
    let files = image.files().into_iter().filter(move |(of, ..)| *of == part);
    files.flat_map(move |(part, name, bytes)| {
        (0..bytes.len()).map({
            let image = image.clone();
            move |place| {
                let mut image = image.clone();
                image.part(part).get_mut(&name).expect("there")[place] ^= 1 << (place % 8);
                (image, name.clone(), place)
            }
        })
    })
}

/// Each file cut at each byte.
fn cut(image: &Image, part: Part) -> impl Iterator<Item = (Image, String, usize)> {
    let files = image.files().into_iter().filter(move |(of, ..)| *of == part);
    files.flat_map(move |(part, name, bytes)| {
        (0..bytes.len()).map({
            let image = image.clone();
            move |length| {
                let mut image = image.clone();
                image.part(part).get_mut(&name).expect("there").truncate(length);
                (image, name.clone(), length)
            }
        })
    })
}

/// The names of the newest and the older snapshot.
fn snapshots(played: &Played) -> (String, String) {
    let mut names: Vec<String> = played.image.snapshots.keys().cloned().collect();
    let newest = names.pop().expect("two");
    (newest, names.pop().expect("two"))
}

#[test]
fn an_untouched_folder_starts_with_all_of_it() {
    for (durability, closed) in [(Durability::Sync, false), (Durability::Sync, true), (Durability::Os, false)] {
        let played = Played::new(durability, closed);
        let came = tried(&played, &played.image, durability, "untouched");
        assert_eq!(came, Came::Started { last: played.end(), skipped: Vec::new(), cut: None });
    }
}

#[test]
fn any_bit_of_a_snapshot_that_changes_is_noticed() {
    let played = Played::new(Durability::Sync, false);
    for (name, bytes) in &played.image.snapshots {
        let from = Lsn(name.trim_end_matches(".snapshot").parse().expect("a number"));
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                let storage = SimulatedStorage::with_files([(name.clone(), changed)].into());
                let error = load(&storage, from, |_, _| Ok(())).expect_err("damaged").to_string();
                assert!(error.contains(name), "bit {bit} of byte {place}: {error}");
            }
        }
    }
}

#[test]
fn a_damaged_snapshot_costs_nothing_while_there_is_one_before() {
    let played = Played::new(Durability::Sync, false);
    let (newest, _) = snapshots(&played);
    let all = changed(&played.image, Part::Snapshots).chain(cut(&played.image, Part::Snapshots));
    for (image, name, place) in all {
        let what = format!("{name} at {place}");
        let Came::Started { last, skipped, cut } = tried(&played, &image, Durability::Sync, &what) else {
            panic!("{what}: refused")
        };
        assert_eq!((last, cut), (played.end(), None), "{what}: nothing is lost");
        assert_eq!(skipped.len(), usize::from(name == newest), "{what}: {skipped:?}");
        assert!(skipped.iter().all(|reported| reported.contains(&name)), "{what}: {skipped:?}");
    }
}

#[test]
fn with_both_snapshots_damaged_a_trimmed_journal_is_refused() {
    let played = Played::new(Durability::Sync, false);
    let (newest, older) = snapshots(&played);
    for place in 0..played.image.snapshots[&older].len() {
        let mut image = played.image.clone();
        image.snapshots.get_mut(&older).expect("there")[place] ^= 4;
        image.snapshots.get_mut(&newest).expect("there").truncate(place);
        let Came::Refused(reported) = tried(&played, &image, Durability::Sync, "both") else { panic!("started") };
        assert!(reported.contains(&newest) && reported.contains(&older), "{reported}");
    }
}

#[test]
fn a_damaged_journal_costs_the_last_batch_at_most() {
    for closed in [false, true] {
        let played = Played::new(Durability::Sync, closed);
        let last_file = played.image.journal.last_key_value().expect("some").0.clone();
        let mut excused = 0;
        for (image, name, place) in changed(&played.image, Part::Journal) {
            let what = format!("closed {closed}: byte {place} of {name}");
            match tried(&played, &image, Durability::Sync, &what) {
                Came::Refused(reported) => assert!(reported.contains(&name), "{what}: {reported}"),
                Came::Started { last, skipped, cut } => {
                    assert!(name == last_file && skipped.is_empty(), "{what}: {skipped:?}");
                    // After a stop in order, only the trailer itself can look torn: then no record is lost.
                    let least = if closed { played.end().next() } else { played.last_batch() };
                    assert_eq!(last.next(), least, "{what}");
                    assert!(cut.is_some_and(|bytes| bytes > 0), "{what}: the loss is reported");
                    excused += 1;
                }
            }
        }
        assert!(excused > 60, "rot in the last batch, or in the trailer, looks like a torn end: {excused}");
    }
}

#[test]
fn a_cut_journal_is_a_prefix_that_is_told_or_a_no() {
    for durability in [Durability::Sync, Durability::Os] {
        let played = Played::new(durability, false);
        let newest = played.image.journal.last_key_value().expect("some").0.clone();
        let (mut started, mut refused) = (0, 0);
        for (image, name, length) in cut(&played.image, Part::Journal) {
            let what = format!("{durability:?}: {name} cut to {length}");
            let seam = played.seams(&name).contains(&length);
            match tried(&played, &image, durability, &what) {
                Came::Started { last, cut, .. } => {
                    assert!(cut.is_some() || seam, "{what}: not reported");
                    // Wherever a segment is cut, the following segment shows that there was more.
                    assert!(name == newest || durability == Durability::Os, "{what}: taken for the end");
                    assert_eq!(last, played.whole(&name, length), "{what}: all whole batches before the cut");
                    started += 1;
                }
                Came::Refused(reported) => {
                    let missing = seam && reported.contains("a segment or its end is missing");
                    assert!(missing || reported.contains(&name) || reported.contains("snapshot"), "{what}: {reported}");
                    refused += 1;
                }
            }
        }
        assert!(started > 100 && refused > 100, "{durability:?}: {started} started, {refused} refused");
    }
}

#[test]
fn with_os_durability_a_changed_byte_is_a_prefix_that_is_told_or_a_no() {
    let played = Played::new(Durability::Os, false);
    let mut started = 0;
    for (image, name, place) in changed(&played.image, Part::Journal) {
        let what = format!("byte {place} of {name}");
        match tried(&played, &image, Durability::Os, &what) {
            Came::Started { last, cut, .. } => {
                assert!(last < played.end() && cut.is_some(), "{what}: noticed, and reported");
                started += 1;
            }
            // Cut before the end of the older snapshot, while earlier segments are trimmed: no start is possible.
            Came::Refused(reported) => {
                assert!(reported.contains("snapshot") || reported.contains(&name), "{what}: {reported}");
            }
        }
    }
    assert!(started > 100, "{started}");
}

#[test]
fn a_damaged_meta_file_is_refused_by_its_name() {
    let played = Played::new(Durability::Sync, false);
    for (image, name, place) in changed(&played.image, Part::Root).chain(cut(&played.image, Part::Root)) {
        assert_eq!(name, "stockade.meta");
        let came = tried(&played, &image, Durability::Sync, &format!("{name} at {place}"));
        assert!(matches!(came, Came::Refused(_)), "{place}: {came:?}");
    }
}

#[test]
fn a_missing_file_is_a_right_prefix_or_a_no() {
    for durability in [Durability::Sync, Durability::Os] {
        let played = Played::new(durability, false);
        let newest = played.image.journal.last_key_value().expect("some").0.clone();
        for (part, name, _) in played.image.files() {
            let mut image = played.image.clone();
            image.part(part).remove(&name);
            match tried(&played, &image, durability, &format!("without {name}")) {
                Came::Started { last, .. } if part == Part::Snapshots => assert_eq!(last, played.end()),
                // Documented: a missing newest segment does not show in the journal alone.
                Came::Started { last, .. } => assert!(name == newest || last == played.end(), "without {name}: {last}"),
                Came::Refused(_) => {}
            }
        }
    }
}
