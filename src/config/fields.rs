//! Reads the keys of a table of the file, each once, and reports those that nothing asks for.

use std::cell::RefCell;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::parse::Parsed;
use super::sources::place;

/// The file, and what is wrong with it.
pub(super) struct File<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    /// All errors so far.
    pub(super) errors: RefCell<Vec<String>>,
}

/// A table of the file.
pub(super) struct Fields<'a> {
    file: &'a File<'a>,
    /// What it is called in errors, such as `channels[0].`.
    path: String,
    table: &'a DeTable<'a>,
    /// Where it begins.
    begins: usize,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// A text of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) value: String,
    /// What it is called in errors, with its place.
    pub(super) origin: String,
    /// The line in which the text itself begins.
    pub(super) line: usize,
}

impl File<'_> {
    /// What a byte is called: `stockade.toml:3:1`.
    pub(super) fn at(&self, byte: usize) -> String {
        let (line, column) = place(self.text, byte);
        format!("{}:{line}:{column}", self.name)
    }

    /// The same, without the column.
    pub(super) fn line_at(&self, byte: usize) -> String {
        format!("{}:{}", self.name, place(self.text, byte).0)
    }

    /// Records an error.
    pub(super) fn wrong(&self, error: String) {
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
}

impl<'a> Fields<'a> {
    /// Of the table that begins at this byte.
    pub(super) fn new(file: &'a File<'a>, path: String, (begins, table): (usize, &'a DeTable<'a>)) -> Self {
        Self { file, path, table, begins, asked: RefCell::default() }
    }

    /// Where the table begins, for errors about it as a whole.
    pub(super) fn origin(&self) -> String {
        format!("{}: {}", self.file.at(self.begins), self.path.trim_end_matches('.'))
    }

    /// The name of the file.
    pub(super) fn file_name(&self) -> &str {
        self.file.name
    }

    /// The file and the line in which the table begins.
    pub(super) fn place(&self) -> String {
        self.file.line_at(self.begins)
    }

    fn get(&self, key: &'static str) -> Option<(&'a Spanned<DeValue<'a>>, String)> {
        self.asked.borrow_mut().insert(key);
        let (found, value) = self.table.iter().find(|(found, _)| found.get_ref() == key)?;
        Some((value, format!("{}: {}{key}", self.file.at(found.span().start), self.path)))
    }

    /// Whether the table has a key.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// A text, if it is there.
    pub(super) fn text(&self, key: &'static str) -> Option<Text> {
        let (value, origin) = self.get(key)?;
        self.as_text(value, origin)
    }

    /// A text that must be there.
    pub(super) fn needed(&self, key: &'static str) -> Option<Text> {
        if !self.has(key) {
            self.file.wrong(format!("{} has no {key}", self.origin()));
        }
        self.text(key)
    }

    /// A text as what it says, if it is there.
    pub(super) fn parsed<T>(&self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let (value, origin) = self.get(key)?;
        let text = match value.get_ref() {
            DeValue::Integer(number) => Text { value: number.to_string(), origin, line: 0 },
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.as_text(value, origin)?,
        };
        self.of(&text, parse)
    }

    /// What a text says.
    pub(super) fn of<T>(
        &self,
        Text { value: text, origin, line: _ }: &Text,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(wanted) => {
                self.file.wrong(format!("{origin} {wanted}, not {text:?}"));
                None
            }
        }
    }

    /// A list of texts; nothing if it is not there.
    pub(super) fn texts(&self, key: &'static str) -> Vec<Text> {
        let Some((value, origin)) = self.get(key) else { return Vec::new() };
        let DeValue::Array(list) = value.get_ref() else {
            self.file.wrong(format!("{origin} must be a list of texts, such as [\"a\", \"b\"]"));
            return Vec::new();
        };
        list.iter().filter_map(|entry| self.as_text(entry, origin.clone())).collect()
    }

    /// A table, if it is there.
    pub(super) fn table(&self, key: &'static str) -> Option<Fields<'a>> {
        let (value, origin) = self.get(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Fields::new(self.file, format!("{}{key}.", self.path), (value.span().start, table)));
        }
        self.file.wrong(format!("{origin} must be a table, such as {{ key = \"text\" }}"));
        None
    }

    /// All keys of a table whose keys are free, with their texts.
    pub(super) fn entries(&self) -> Vec<(String, Text)> {
        let entry = |(key, value): (&Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            let origin = format!("{}: {}{key}", self.file.at(value.span().start), self.path);
            Some((key.to_string(), self.as_text(value, origin)?))
        };
        self.table.iter().filter_map(|(key, value)| entry((key, value))).collect()
    }

    /// Records an error of a text.
    pub(super) fn wrong(&self, Text { origin, .. }: &Text, wanted: &str) {
        self.file.wrong(format!("{origin} {wanted}"));
    }

    /// Records an error of the table.
    pub(super) fn wrong_as_a_whole(&self, what: &str) {
        self.file.wrong(format!("{} {what}", self.origin()));
    }

    /// Reports the keys that nothing has asked for. `of` is what the table is.
    pub(super) fn finish(self, of: &str) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter().filter(|(key, _)| !asked.contains(key.get_ref().as_ref())) {
            let keys: Vec<_> = asked.iter().copied().collect();
            let at = self.file.at(key.span().start);
            self.file.wrong(format!(
                "{at}: {}{} is no key of {of}; keys are {}",
                self.path,
                key.get_ref(),
                keys.join(", ")
            ));
        }
    }

    fn as_text(&self, value: &Spanned<DeValue<'_>>, origin: String) -> Option<Text> {
        let DeValue::String(text) = value.get_ref() else {
            self.file.wrong(format!("{origin} must be a text in quotes"));
            return None;
        };
        let written = self.file.text.get(value.span().start..).unwrap_or_default();
        // The line end behind the opening quotes does not belong to the text.
        let opens = ["\"\"\"\n", "'''\n", "\"\"\"\r\n", "'''\r\n"].iter().any(|quotes| written.starts_with(quotes));
        let line = place(self.file.text, value.span().start).0.saturating_add(usize::from(opens));
        Some(Text { value: text.to_string(), origin, line })
    }
}
