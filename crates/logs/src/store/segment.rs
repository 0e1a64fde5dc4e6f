//! One SQLite file of lines.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use fission_rpc::logs::{LogLine, LogOwner, LogQuery, Stream};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params, params_from_iter};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS owner (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL, function TEXT NOT NULL, instance TEXT NOT NULL, environment TEXT NOT NULL,
        UNIQUE (namespace, function, instance, environment)
    );
    CREATE TABLE IF NOT EXISTS line (
        id INTEGER PRIMARY KEY,
        time INTEGER NOT NULL, owner INTEGER NOT NULL, stderr INTEGER NOT NULL, request TEXT, text TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS line_owner ON line (owner, id);
    CREATE INDEX IF NOT EXISTS line_request ON line (request, id) WHERE request IS NOT NULL;
";
/// Longest wait for the other side's lock; both hold it for milliseconds.
const BUSY: Duration = Duration::from_secs(5);
/// Owners remembered by a writer before it asks the table again.
const KNOWN_OWNERS: usize = 10_000;

/// A segment that is written to.
pub(super) struct WritableSegment {
    connection: Connection,
    owners: HashMap<LogOwner, i64>,
}

impl WritableSegment {
    /// Opens a segment for writing, making it if needed.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        // A crash of the machine may cost the last lines, never the file; a crash of the process costs nothing.
        connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection, owners: HashMap::new() })
    }

    /// Writes all lines or none.
    pub(super) fn insert(&mut self, lines: &[LogLine]) -> rusqlite::Result<()> {
        if self.owners.len() > KNOWN_OWNERS {
            self.owners.clear();
        }
        let known = self.owners.len();
        let result = insert_all(&mut self.connection, &mut self.owners, lines);
        if result.is_err() && self.owners.len() != known {
            // Owners written by what was just rolled back are not there.
            self.owners.clear();
        }
        result
    }

    /// Ends writing: moves everything into the one file.
    pub(super) fn close(self) {
        let at_once = self.connection.busy_timeout(Duration::ZERO);
        let closing = at_once.and_then(|()| self.connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())));
        if let Err(error) = closing {
            // A reader has it open; the last one to close it does the same work.
            tracing::debug!(%error, "a finished log segment is still being read");
        }
    }
}

fn insert_all(
    connection: &mut Connection,
    owners: &mut HashMap<LogOwner, i64>,
    lines: &[LogLine],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO line (id, time, owner, stderr, request, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for line in lines {
            let owner = match owners.get(&line.owner) {
                Some(owner) => *owner,
                None => {
                    let owner = owner_id(&transaction, &line.owner)?;
                    owners.insert(line.owner.clone(), owner);
                    owner
                }
            };
            let stderr = line.stream == Stream::Stderr;
            insert.execute(params![line.id, line.time.as_microsecond(), owner, stderr, line.request_id, line.text])?;
        }
    }
    transaction.commit()
}

fn owner_id(connection: &Connection, owner: &LogOwner) -> rusqlite::Result<i64> {
    let names = params![owner.namespace, owner.function, owner.instance, owner.environment];
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO owner (namespace, function, instance, environment) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(names)?;
    connection
        .prepare_cached(
            "SELECT id FROM owner WHERE namespace = ?1 AND function = ?2 AND instance = ?3 AND environment = ?4",
        )?
        .query_row(names, |row| row.get(0))
}

/// Id of the newest line of a segment, 0 if it has none. Reads enough to notice most damage.
pub(super) fn newest_id(path: &Path) -> rusqlite::Result<i64> {
    let connection = open_to_read(path)?;
    let is_segment = "SELECT count(*) FROM sqlite_schema WHERE name IN ('line', 'owner')";
    if connection.query_row(is_segment, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    connection.query_row("SELECT coalesce(max(id), 0) FROM line", [], |row| row.get(0))
}

/// Which end of a segment is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

/// Appends up to `limit` matching lines of a segment to `found`; stops early when `room` bytes of text are used up.
pub(super) fn read(
    path: &Path,
    query: &LogQuery,
    order: Order,
    limit: usize,
    room: &mut usize,
    found: &mut Vec<LogLine>,
) -> rusqlite::Result<()> {
    let connection = open_to_read(path)?;
    let (conditions, values) = conditions(query);
    let direction = if order == Order::NewestFirst { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT line.id, time, stderr, request, text, namespace, function, instance, environment
         FROM line JOIN owner ON owner.id = line.owner {conditions} ORDER BY line.id {direction} LIMIT {limit}"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let line = line(row)?;
        let Some(left) = room.checked_sub(line.text.len()) else {
            *room = 0;
            break;
        };
        *room = left;
        found.push(line);
    }
    Ok(())
}

fn conditions(query: &LogQuery) -> (String, Vec<Value>) {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    let mut add = |condition: &str, value: Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    if !query.namespace.is_empty() {
        add("namespace = ?", query.namespace.clone().into());
    }
    for (column, wanted) in [
        ("function = ?", &query.function),
        ("instance = ?", &query.instance),
        ("environment = ?", &query.environment),
        ("request = ?", &query.request_id),
    ] {
        if let Some(wanted) = wanted {
            add(column, wanted.clone().into());
        }
    }
    if let Some(since) = query.since {
        add("time >= ?", since.as_microsecond().into());
    }
    if let Some(after) = query.after {
        add("line.id > ?", after.into());
    }
    let text = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    (text, values)
}

fn line(row: &Row<'_>) -> rusqlite::Result<LogLine> {
    let time = Timestamp::from_microsecond(row.get(1)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Integer, error.into()))?;
    Ok(LogLine {
        id: row.get(0)?,
        time,
        stream: if row.get(2)? { Stream::Stderr } else { Stream::Stdout },
        request_id: row.get(3)?,
        text: row.get(4)?,
        owner: LogOwner {
            namespace: row.get(5)?,
            function: row.get(6)?,
            instance: row.get(7)?,
            environment: row.get(8)?,
        },
    })
}

/// Not read-only in SQLite's sense: a reader may be the one that brings a file in order after a crash.
fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch("PRAGMA query_only = ON;")?;
    Ok(connection)
}

/// Whether an error says that the file itself is broken.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let broken_value = matches!(
        error,
        rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::Utf8Error(..)
    );
    broken_value || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
