//! Output of the binary for other programs: shell completions, the schema of drop files, the contract.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::cli::{code, err, out, stockade};

const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn each_shell_gets_a_script_and_others_are_told_which_there_are() {
    for (shell, sign) in
        [("bash", "complete -F _stockade"), ("zsh", "#compdef stockade"), ("fish", "complete -c stockade")]
    {
        let made = stockade(NOWHERE, &["completions", shell]);
        assert_eq!(code(&made), 0, "{}", err(&made));
        assert!(out(&made).contains(sign), "{shell}: {}", out(&made));
        for word in ["adjust", "reconcile", "journal", "durability"] {
            assert!(out(&made).contains(word), "{shell} does not know {word}");
        }
    }
    let other = stockade(NOWHERE, &["completions", "tcsh"]);
    assert_eq!(code(&other), 64);
    assert!(err(&other).contains("bash, zsh, fish"), "{}", err(&other));
}

/// Bash's completions for a line; none if bash is not installed.
fn offered(line: &[&str]) -> Option<String> {
    let script = out(&stockade(NOWHERE, &["completions", "bash"]));
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-eu", "-s", "--"]).args(line);
    bash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut bash) = bash.spawn() else {
        eprintln!("SKIPPED: there is no bash here");
        return None;
    };
    let ask = "set +u\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\nCOMPREPLY=()\n\
               _stockade stockade \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
               printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let mut words = bash.stdin.take().expect("a pipe");
    write!(words, "{script}\n{ask}").expect("a script");
    drop(words);
    let output = bash.wait_with_output().expect("an end");
    assert_eq!((code(&output), err(&output)), (0, String::new()));
    Some(out(&output))
}

#[test]
fn bash_takes_the_script_and_completes_with_it() {
    let Some(commands) = offered(&["stockade", ""]) else { return };
    for command in ["serve", "reserve", "journal", "completions"] {
        assert!(commands.lines().any(|word| word == command), "{command} in\n{commands}");
    }
    assert_eq!(offered(&["stockade", "drop", "ad"]).as_deref(), Some("adjust\n"));
    assert_eq!(offered(&["stockade", "completions", "f"]).as_deref(), Some("fish\n"));
    assert_eq!(offered(&["stockade", "journal", "dump", "--fr"]).as_deref(), Some("--from\n"));
}

#[test]
fn the_schema_and_the_contract_are_printed_as_they_are() {
    let schema = stockade(NOWHERE, &["drop", "schema"]);
    let published = include_str!("../../docs/drop.schema.json");
    assert_eq!((code(&schema), out(&schema).as_str()), (0, published));
    let descriptors = stockade(NOWHERE, &["descriptors"]);
    assert_eq!(code(&descriptors), 0, "{}", err(&descriptors));
    assert_eq!(descriptors.stdout, stockade_proto::DESCRIPTORS, "bytes alone: not even a newline");
}
