//! `stockade channels`: check, test and list the channels of a configuration. No server is needed.

use serde_json::{Value, json};
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;

use super::Finding;
use super::args::{ChannelsOptions, TestChannelOptions};
use super::failure::Failure;
use super::output::{Output, table};
use crate::channels::Channel;
use crate::channels::context::Contexts;
use crate::channels::message::{About, write};
use crate::channels::sample::samples;
use crate::channels::send::Sender;
use crate::config::{Config, environment};

fn load(options: &ChannelsOptions) -> Result<Vec<Channel>, Failure> {
    Ok(Config::load(Vec::new(), options.config.clone(), environment)?.channels)
}

/// Checks the channels: all that a start of a server checks.
///
/// # Errors
/// What is wrong with the configuration.
pub(super) fn check(options: &ChannelsOptions, output: &mut Output) -> Result<Finding, Failure> {
    let channels = load(options)?;
    if options.json {
        return print_json(&channels, output);
    }
    for channel in &channels {
        let templates: Vec<_> = channel.way.templates().into_keys().collect();
        let (templates, types) = (templates.join(" and "), channel.types.join(", "));
        output.line(&format!("{}: well: {templates} written with samples of {types}", channel.name));
    }
    if channels.is_empty() {
        output.line("no channels are configured");
    }
    Ok(Finding::Well)
}

/// Lists the channels.
///
/// # Errors
/// What is wrong with the configuration.
pub(super) fn list(options: &ChannelsOptions, output: &mut Output) -> Result<Finding, Failure> {
    let channels = load(options)?;
    if options.json {
        return print_json(&channels, output);
    }
    let mut rows = table(&["channel", "kind", "types", "where to"]);
    for channel in &channels {
        let cells = [channel.name.to_string(), channel.way.kind().to_owned(), channel.types.join(", ")];
        rows.add_row(cells.into_iter().chain([channel.way.target()]));
    }
    output.table(rows);
    Ok(Finding::Well)
}

/// Sends a sample.
///
/// # Errors
/// What is wrong with the configuration, or if there is no such channel or type.
pub(super) async fn test(options: &TestChannelOptions, output: &mut Output) -> Result<Finding, Failure> {
    let channels = load(&options.options)?;
    let channel = channels.iter().find(|channel| channel.name.as_str() == options.channel);
    let Some(channel) = channel else {
        let names: Vec<_> = channels.iter().map(|channel| channel.name.as_str()).collect();
        let names =
            if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
        return Err(Failure::Usage(format!("no channel is named {}: {names}", options.channel)));
    };
    let mut samples = samples(&channel.filter).into_iter();
    let sample = match &options.kind {
        None => samples.next(),
        Some(kind) => {
            samples.find(|sample| sample.r#type == *kind || sample.r#type.strip_prefix("stockade.") == Some(kind))
        }
    };
    let Some(mut sample) = sample else {
        let kind = options.kind.clone().unwrap_or_default();
        return Err(Failure::Usage(format!("{} takes no events of type {kind}", channel.name)));
    };
    let now = wall_clock();
    // Another one each time, so that the other end takes none for a repeat.
    sample.id = format!("{}-{}", sample.id, now.0);
    let contexts = Contexts::new().map_err(|_broken| Failure::Bug("the contract's events can't be written as JSON"))?;
    let message = write(channel, &contexts, (&sample, About::Sample), now);
    let message = message.map_err(|bad| Failure::Usage(bad.to_string()))?;
    let watch = Stopwatch::start();
    let sent = Sender::default().send(channel, &message, false).await;
    let took = watch.elapsed().as_millis();
    let error = sent.as_ref().err().map(ToString::to_string);
    if options.options.json {
        let shown = json!({
            "channel": channel.name.as_str(), "message": message.id, "type": sample.r#type,
            "sent": sent.is_ok(), "error": error.clone().unwrap_or_default(), "took_ms": u64::try_from(took).unwrap_or(u64::MAX),
        });
        output.json(&shown.to_string());
    } else {
        match &error {
            None => output.line(&format!("{}: a test was sent to {} in {took} ms", channel.name, channel.way.target())),
            Some(error) => {
                output.line(&format!("{}: the test was not sent to {}: {error}", channel.name, channel.way.target()));
            }
        }
    }
    Ok(if sent.is_ok() { Finding::Well } else { Finding::Amiss })
}

fn print_json(channels: &[Channel], output: &mut Output) -> Result<Finding, Failure> {
    let shown: Vec<Value> = channels.iter().map(shown).collect();
    let text = serde_json::to_string_pretty(&json!({"channels": shown}));
    output.json(&text.map_err(|_bad| Failure::Bug("channels can't be written as JSON"))?);
    Ok(Finding::Well)
}

fn shown(channel: &Channel) -> Value {
    let bounds = &channel.bounds;
    json!({
        "name": channel.name.as_str(),
        "defined_at": channel.place,
        "kind": channel.way.kind(),
        "to": channel.way.target(),
        "types": channel.types,
        "channels": channel.filter.channels,
        "max_per_day": bounds.max_per_day,
        "min_gap_ms": bounds.min_gap.map(|gap| gap.0),
        "give_up_after_ms": channel.give_up_after.0,
        "quiet": bounds.quiet.as_ref().map(|quiet| json!({"from": quiet.from.to_string(), "until": quiet.until.to_string()})),
    })
}
