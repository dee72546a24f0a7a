//! Facts as CSV, by RFC 4180: a head line with the names of the columns, in any order, then one fact a record. An empty
//! value means that the fact does not have it.

use std::io;

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use stockade_proto as pb;

use super::{BadField, BadFile, Read};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Kind,
    Time,
    Shop,
    DropId,
    OrderRef,
    Sku,
    Zone,
    CustomerId,
    Value,
}

/// Reads facts record by record.
#[derive(Debug)]
pub(crate) struct CsvFacts<R> {
    reader: Reader<R>,
    columns: Vec<Column>,
    record: ByteRecord,
}

impl Column {
    const ALL: [Self; 10] = [
        Self::Id,
        Self::Kind,
        Self::Time,
        Self::Shop,
        Self::DropId,
        Self::OrderRef,
        Self::Sku,
        Self::Zone,
        Self::CustomerId,
        Self::Value,
    ];
    /// Without these no fact is possible.
    const NEEDED: [Self; 3] = [Self::Id, Self::Kind, Self::Time];

    const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Kind => "kind",
            Self::Time => "time",
            Self::Shop => "shop",
            Self::DropId => "drop_id",
            Self::OrderRef => "order_ref",
            Self::Sku => "sku",
            Self::Zone => "zone",
            Self::CustomerId => "customer_id",
            Self::Value => "value",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

impl<R: io::Read> CsvFacts<R> {
    /// Reads the head line.
    ///
    /// # Errors
    /// If it names no columns of facts, one twice, or not those that every fact needs.
    pub(crate) fn new(reader: R) -> Result<Self, BadFile> {
        // By default a record that ends with CRLF leaves the LF to the next one, whose line is then one too low.
        let terminator = Terminator::Any(b'\n');
        let mut reader =
            ReaderBuilder::new().flexible(true).has_headers(false).terminator(terminator).from_reader(reader);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(broken)? {
            return Err(BadFile::Head("it is missing".to_owned()));
        }
        let mut columns: Vec<Column> = Vec::with_capacity(record.len());
        for (place, name) in record.iter().enumerate() {
            let name = String::from_utf8_lossy(name);
            let name = if place == 0 { name.trim_start_matches('\u{feff}') } else { &name };
            let Some(column) = Column::named(name.trim()) else {
                let known = Column::ALL.map(Column::name).join(", ");
                return Err(BadFile::Head(format!("{name:?} is no column of facts: these are {known}")));
            };
            if columns.contains(&column) {
                return Err(BadFile::Head(format!("column {} is there twice", column.name())));
            }
            columns.push(column);
        }
        let missing: Vec<&str> =
            Column::NEEDED.into_iter().filter(|column| !columns.contains(column)).map(Column::name).collect();
        if missing.is_empty() {
            return Ok(Self { reader, columns, record });
        }
        Err(BadFile::Head(format!("column {} is missing", missing.join(", "))))
    }

    fn read(&self) -> Result<pb::Fact, Vec<BadField>> {
        let (given, wanted) = (self.record.len(), self.columns.len());
        if given != wanted {
            return Err(vec![BadField::new("", format!("the line has {given} values, and the head line {wanted}"))]);
        }
        let (mut fact, mut faults) = (pb::Fact::default(), Vec::new());
        for (place, (column, value)) in (1..).zip(self.columns.iter().zip(&self.record)) {
            let ends_line = place == given;
            let value = value.strip_suffix(b"\r").filter(|_| ends_line).unwrap_or(value);
            let put = match str::from_utf8(value) {
                Ok("") => Ok(()),
                Ok(value) => put(&mut fact, *column, value),
                Err(_bad) => Err("is not UTF-8".to_owned()),
            };
            if let Err(message) = put {
                faults.push(BadField::new(column.name(), message));
            }
        }
        if faults.is_empty() { Ok(fact) } else { Err(faults) }
    }
}

impl<R: io::Read> Iterator for CsvFacts<R> {
    type Item = io::Result<Read>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = std::mem::take(&mut self.record);
        let more = loop {
            let more = self.reader.read_byte_record(&mut record);
            let is_blank = record.len() == 1 && record.iter().all(|value| value == b"\r");
            if !is_blank || !matches!(more, Ok(true)) {
                break more;
            }
        };
        self.record = record;
        match more {
            Ok(false) => None,
            Ok(true) => {
                let line = self.record.position().map(csv::Position::line);
                Some(Ok(Read { line, fact: self.read() }))
            }
            Err(error) => Some(Err(broken(error))),
        }
    }
}

/// Lines of any length are read, and texts as bytes: only reading itself can fail.
fn broken(error: csv::Error) -> io::Error {
    let text = error.to_string();
    if let csv::ErrorKind::Io(error) = error.into_kind() { error } else { io::Error::other(text) }
}

fn put(fact: &mut pb::Fact, column: Column, value: &str) -> Result<(), String> {
    let text = match column {
        Column::Id => &mut fact.id,
        Column::Shop => &mut fact.shop,
        Column::DropId => &mut fact.drop_id,
        Column::OrderRef => &mut fact.order_ref,
        Column::Sku => &mut fact.sku,
        Column::Zone => &mut fact.zone,
        Column::CustomerId => &mut fact.customer_id,
        Column::Kind => {
            fact.kind = kind(value).ok_or_else(|| format!("{value:?} is no kind of facts"))?.into();
            return Ok(());
        }
        Column::Time => {
            let at: jiff::Timestamp =
                value.parse().map_err(|_bad| format!("{value:?} is no instant such as 2026-12-04T18:00:00Z"))?;
            fact.time = Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() });
            return Ok(());
        }
        Column::Value => {
            fact.value = value.parse().map_err(|_bad| format!("{value:?} is no whole number within its bounds"))?;
            return Ok(());
        }
    };
    value.clone_into(text);
    Ok(())
}

/// A kind by the contract's name, also without the prefix and in small letters.
fn kind(name: &str) -> Option<pb::FactKind> {
    const PREFIX: &str = "FACT_KIND_";
    let upper = name.to_ascii_uppercase();
    pb::FactKind::from_str_name(&format!("{PREFIX}{}", upper.strip_prefix(PREFIX).unwrap_or(&upper)))
}
