//! Files that a query names: Parquet, CSV with a header, JSON lines, and folders of Parquet.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::{CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions, SessionContext};

use super::session::explained;
use crate::error::{Error, Result};
use crate::files;

/// Whether a name of a table is one of a file: it has a folder, an ending, or stands for several.
pub(super) fn is_path(name: &str) -> bool {
    name.contains(['/', '*']) || extension(name).is_some_and(|extension| FORMATS.contains(&extension))
}

/// Endings of files that can be read.
const FORMATS: [&str; 6] = ["parquet", "csv", "tsv", "jsonl", "ndjson", "json"];

fn extension(name: &str) -> Option<&str> {
    Path::new(name).extension()?.to_str()
}

/// Opens a file or a folder.
pub(super) async fn open(context: &SessionContext, path: &Path) -> Result<Arc<dyn TableProvider>> {
    let name = path.to_string_lossy().into_owned();
    if !name.contains('*') && !path.exists() {
        return Err(Error::user(format!("there is no file {name}")).hint("check the path"));
    }
    let frame = read(context, &name, path.is_dir()).await?;
    Ok(frame.into_view())
}

/// What separates the values of a file, as reports find it; of several files what is usual.
fn delimiter(name: &str, usual: u8) -> u8 {
    match files::recognise(Path::new(name)) {
        Ok(files::Format::Csv { delimiter }) => delimiter,
        _ => usual,
    }
}

async fn read(context: &SessionContext, name: &str, folder: bool) -> Result<DataFrame> {
    let ending = if folder { Some("parquet") } else { extension(name) };
    let dotted = ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    let read = match ending {
        Some("parquet") => context.read_parquet(name, ParquetReadOptions::default()).await,
        Some("csv") => context.read_csv(name, CsvReadOptions::new().delimiter(delimiter(name, b','))).await,
        Some("tsv") => {
            let options = CsvReadOptions::new().delimiter(delimiter(name, b'\t')).file_extension(&dotted);
            context.read_csv(name, options).await
        }
        Some("jsonl" | "ndjson" | "json") => {
            context.read_json(name, JsonReadOptions::default().file_extension(&dotted)).await
        }
        _ => {
            return Err(Error::user(format!("cannot tell the format of {name}"))
                .hint(format!("its name should end in one of: {}", FORMATS.join(", "))));
        }
    };
    read.map_err(|error| {
        let error = explained(error);
        Error::user(format!("cannot read {name}")).because(error.to_string()).hint("check that it is whole")
    })
}
