//! Pages: the countdown of a drop, the same for a live stream, and the list of drops. They are whole without a script;
//! one small script counts down and shows changes as they happen. A page asks for nothing but its own server's
//! statuses.

mod drop;
mod list;
mod when;

pub(super) use drop::{drop_page, embedded, overlay};
pub(super) use list::list;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cache::Made;
use super::policy;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page before it is written.
struct Draft<'a> {
    title: &'a str,
    description: &'a str,
    /// Besides the common one.
    style: &'a str,
    /// Whether its script runs.
    is_live: bool,
    may_be_framed: bool,
    /// Seconds after which it is loaded anew where no script runs.
    reload: Option<u16>,
    cache_control: &'static str,
    /// What changes when the page does.
    etag: String,
    body: Markup,
}

impl Draft<'_> {
    fn made(self) -> Made {
        let Self { title, description, style, is_live, may_be_framed, reload, cache_control, etag, body } = self;
        let style = [STYLE, style].concat();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="description" content=(description);
                    meta property="og:title" content=(title);
                    meta property="og:description" content=(description);
                    title { (title) }
                    style { (PreEscaped(&style)) }
                    @if let Some(seconds) = reload {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                }
                body {
                    (body)
                    @if is_live { script { (PreEscaped(SCRIPT)) } }
                }
            }
        };
        Made {
            content_type: HTML,
            cache_control,
            policy: policy::page(&style, is_live.then_some(SCRIPT), may_be_framed),
            etag: policy::digest([&etag, style.as_str(), SCRIPT].concat().as_bytes()),
            content: page.into_string().into_bytes(),
        }
    }
}
