//! A tool that looks, and one that changes something. Each start leaves a line in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use longhaul::tool::{FunctionTool, Handling, tool};

/// What a tool prints as it starts.
pub(crate) const STARTED: &str = "started: ";

/// Whether tools come to their end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// They wait for something that never comes.
    Stuck,
    Quick,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Order {
    /// Its number.
    order: u32,
}

/// The file of starts.
pub(crate) fn effects(folder: &Path) -> PathBuf {
    folder.join("effects")
}

/// Looks, so that it may run again.
pub(crate) fn stock(folder: &Path, pace: Pace) -> FunctionTool {
    let effects = effects(folder);
    let stock = move |Order { order }| {
        let effects = effects.clone();
        async move {
            start(&effects, &format!("stock of order {order}"), pace).await?;
            std::io::Result::Ok("2 lamps in stock".to_owned())
        }
    };
    tool("stock", "Whether an order can be filled.", stock).read_only()
}

/// Sends a parcel, which nobody may do twice. It may run beside other tools.
pub(crate) fn ship(folder: &Path, pace: Pace) -> FunctionTool {
    let effects = effects(folder);
    let ship = move |Order { order }| {
        let effects = effects.clone();
        async move {
            start(&effects, &format!("ship order {order}"), pace).await?;
            std::io::Result::Ok("handed to the carrier".to_owned())
        }
    };
    let handling = Handling { parallel: true, may_run_again: false };
    tool("ship", "Hands an order to the carrier.", ship).handling(handling)
}

async fn start(effects: &Path, what: &str, pace: Pace) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(effects)?;
    writeln!(file, "{what}")?;
    println!("{STARTED}{what}");
    if pace == Pace::Stuck {
        std::future::pending::<()>().await;
    }
    Ok(())
}
