//! Signals: those that stop the server do so in order, no other ends it.

use std::time::Duration;

use stockade_drill::process::Signal;

use crate::server::{start, verified};
use crate::wire::create;

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_is_no_order_to_stop_is_outlived_and_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let ignored =
        [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2"), (Signal::ALARM, "SIGALRM")];
    for (signal, _) in ignored {
        server.signal(signal);
    }
    for quiet in [Signal::PIPE, Signal::XFSZ] {
        server.signal(quiet);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    create(&server.client().await, &[("SKU", 5)], 1).await;
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    for (_, name) in ignored {
        let line = ended.log.lines().find(|line| line.contains("a signal was ignored") && line.contains(name));
        assert!(line.is_some(), "{name} in\n{}", ended.log);
    }
}

#[test]
fn signals_that_stop_do_it_in_order() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = start(folder.path(), &[]);
        server.signal(signal);
        let ended = server.end();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(ended.log.contains(name) && ended.log.contains("last snapshot taken"), "{}", ended.log);
        assert!(verified(folder.path()).contains("closed in order"));
    }
}
