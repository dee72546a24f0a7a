//! The command line is sound, and its arguments are parsed as expected.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// Every command that can be run, with its words.
fn runnable(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
    let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if below.is_empty() {
        return vec![(words.to_owned(), command.clone())];
    }
    below.iter().flat_map(|below| runnable(below, &format!("{words} {}", below.get_name()))).collect()
}

#[test]
fn every_command_teaches_with_an_example_of_itself() {
    let commands = runnable(&Cli::command(), "stockade");
    assert!(commands.len() > 15, "{}", commands.len());
    for (words, command) in commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.split_once("Example").and_then(|(_, examples)| examples.split_once(":\n"));
        let shown = example.is_some_and(|(_, examples)| examples.contains(&words));
        assert!(shown, "{words} --help shows no example of {words}:\n{help}");
        assert!(command.get_about().is_some(), "{words} does not say what it does");
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{words}: a line is too long for a terminal");
    }
}

fn parsed(words: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(words.split(' ')).map(|cli| cli.command)
}

#[test]
fn lines_are_skus_with_a_quantity() {
    let Ok(Command::Reserve(options)) = parsed("stockade reserve d --sku K/20cm=2 --sku S --customer c --ttl 90s")
    else {
        panic!("not parsed");
    };
    let lines: Vec<_> = options.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    assert_eq!(lines, [("K/20cm", 2), ("S", 1)]);
    assert_eq!(options.ttl, Some(std::time::Duration::from_secs(90)));
}

#[test]
fn a_sku_may_have_an_equals_sign_before_the_last() {
    let Ok(Command::Reserve(options)) = parsed("stockade reserve d --sku size=9=2 --customer c") else {
        panic!("not parsed");
    };
    assert_eq!((options.lines[0].sku.as_str(), options.lines[0].quantity), ("size=9", 2));
    let error = parsed("stockade reserve d --sku colour=red --customer c").expect_err("no quantity").to_string();
    assert!(error.contains("write SKU=2, and colour=red=1 where that is the SKU"), "{error}");
}

#[test]
fn a_faulty_ttl_is_told_as_one() {
    for wrong in ["-5m", "0s", "soon"] {
        for verb in ["reserve d --sku A --customer c", "extend h"] {
            let error = parsed(&format!("stockade {verb} --ttl {wrong}")).expect_err(wrong).to_string();
            assert!(error.contains("the ttl must be a duration above 0s, such as 30s"), "{error}");
        }
    }
}

#[test]
fn the_words_of_payment_and_return() {
    let Ok(Command::Extend(options)) = parsed("stockade extend h --stage paying") else { panic!("not parsed") };
    assert_eq!(options.stage, Some(args::StageWord::Paying));
    let error = parsed("stockade extend h --stage claimed").expect_err("no stage").to_string();
    assert!(error.contains("--stage <held|paying>"), "{error}");
    let Ok(Command::Claim(options)) = parsed("stockade claim h --order o --late --sku A=2") else {
        panic!("not parsed");
    };
    assert!(options.late && options.lines.len() == 1);
    let Ok(Command::Return(options)) = parsed("stockade return h --sku A --restock") else { panic!("not parsed") };
    assert!(options.restock && options.returned[0].quantity == 1);
}

#[test]
fn a_wrong_usage_is_an_error_and_help_is_not() {
    for wrong in ["stockade", "stockade fly", "stockade reserve d", "stockade reserve d --sku A=x --customer c"] {
        assert!(parsed(wrong).expect_err(wrong).use_stderr(), "{wrong}");
    }
    for help in ["stockade --help", "stockade help serve", "stockade drop apply --help", "stockade --version"] {
        assert!(!parsed(help).expect_err(help).use_stderr(), "{help}");
    }
}

#[test]
fn switches_of_serve_may_stand_alone_or_with_a_value() {
    for (words, text) in [("--ephemeral", "true"), ("--ephemeral=false", "false")] {
        let Ok(Command::Serve(flags)) = parsed(&format!("stockade serve {words}")) else { panic!("not parsed") };
        assert_eq!((flags.given[0].setting, flags.given[0].text.as_str()), ("ephemeral", text));
    }
}
