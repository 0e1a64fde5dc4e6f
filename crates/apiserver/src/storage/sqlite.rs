//! The database: one table of objects, each row with a checksum over everything it says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use super::object::{Draft, Key, Object};
use super::plan::Refused;
use super::ring::Change;
use super::state::Damage;

/// The database inside the data folder.
const DATABASE: &str = "apiserver.db";
/// Format of the tables below; a database with a higher number is not touched.
const FORMAT: i64 = 1;
/// Resource versions reserved at a time. Versions of changes that are only in memory are not written, so after a
/// restart counting goes on from the end of the reserved block and no version is ever given out twice.
const RESERVED_VERSIONS: u64 = 10_000;
/// Bytes of a database page: an ordinary function fits in one.
const PAGE_BYTES: i64 = 8192;
/// Pages in the write-ahead log before it is copied into the database (16 MiB).
const CHECKPOINT_PAGES: i64 = 2048;
/// Kibibytes of pages SQLite may keep; it only writes, reads come from memory.
const CACHE_KIB: i64 = 2048;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS objects (
        id INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        version INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);";

/// Why a database could not be opened.
#[derive(Debug)]
pub(crate) enum DatabaseError {
    /// SQLite says no.
    Sqlite(rusqlite::Error),
    /// It was written by a newer version of this program.
    Newer(i64),
    /// The writer thread could not be started.
    Thread(std::io::Error),
    /// What must exist could not be written.
    Seed(Refused),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What a database held when it was opened.
pub(crate) struct Loaded {
    /// The objects whose rows are sound.
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    /// The rows that are not.
    pub(crate) damaged: BTreeMap<Key, Damage>,
    /// The version to count on from.
    pub(crate) rv: u64,
    /// The next free row.
    pub(crate) next_row: i64,
}

/// The database, owned by the writer.
pub(crate) struct Database {
    connection: Connection,
    names: Vec<String>,
    in_memory: Vec<bool>,
    reserved: u64,
}

impl Database {
    /// Opens or makes the database in a folder. `names` are the stored names of resources, by id. `max_pages` limits
    /// its size; `None` means as large as the disk.
    pub(crate) fn open(
        folder: &Path,
        names: Vec<String>,
        in_memory: Vec<bool>,
        max_pages: Option<u32>,
    ) -> Result<(Self, Loaded), DatabaseError> {
        let connection = Connection::open(folder.join(DATABASE))?;
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        if let Some(pages) = max_pages {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        connection.execute_batch(TABLES)?;
        let format = read_meta(&connection, "format")?.unwrap_or(FORMAT);
        if format > FORMAT {
            return Err(DatabaseError::Newer(format));
        }
        write_meta(&connection, "format", FORMAT)?;
        let reserved = read_meta(&connection, "reserved")?.and_then(|rv| u64::try_from(rv).ok()).unwrap_or(0);
        let mut database = Self { connection, names, in_memory, reserved };
        let loaded = database.load()?;
        database.reserved = loaded.rv;
        Ok((database, loaded))
    }

    fn load(&self) -> Result<Loaded, rusqlite::Error> {
        let mut loaded = Loaded { objects: BTreeMap::new(), damaged: BTreeMap::new(), rv: self.reserved, next_row: 1 };
        let mut statement = self
            .connection
            .prepare("SELECT id, resource, namespace, name, version, crc, body FROM objects ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            loaded.next_row = loaded.next_row.max(id.saturating_add(1));
            let (key, object) = self.read(row, id);
            match object {
                Ok(object) if !loaded.objects.contains_key(&key) => {
                    loaded.rv = loaded.rv.max(object.rv);
                    loaded.objects.insert(key, Arc::new(object));
                }
                Ok(_) => {
                    let why = format!("row {id} holds the same object as an earlier row");
                    loaded.damaged.insert(key, Damage { row: id, why });
                }
                Err(why) => {
                    loaded.damaged.insert(key, Damage { row: id, why });
                }
            }
        }
        Ok(loaded)
    }

    /// The key a row claims, and its object if the row is sound.
    fn read(&self, row: &Row<'_>, id: i64) -> (Key, Result<Object, String>) {
        let text = |column: usize| match row.get_ref(column) {
            Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        };
        let (resource, namespace, name) = (text(1), text(2), text(3));
        let known = self.names.iter().position(|known| *known == resource).and_then(|at| u16::try_from(at).ok());
        let key = Key::new(known.unwrap_or(u16::MAX), &namespace, &name);
        let object = (|| {
            let version: u64 =
                row.get::<_, i64>(4).ok().and_then(|rv| u64::try_from(rv).ok()).ok_or("its version is no number")?;
            let crc: i64 = row.get(5).map_err(|_| "its checksum is no number")?;
            let body = row.get_ref(6).ok().and_then(|body| body.as_bytes().ok()).ok_or("it has no body")?;
            if i64::from(checksum(&resource, &namespace, &name, version, body)) != crc {
                return Err("its checksum does not match".to_owned());
            }
            if known.is_none() {
                return Err(format!("its kind {resource:?} is unknown to this version of the program"));
            }
            let value: Value =
                serde_json::from_slice(body).map_err(|error| format!("its body is not JSON: {error}"))?;
            Ok(Draft::new(&value).seal(version, id))
        })();
        (key, object.map_err(|why: String| format!("row {id} ({resource} {namespace}/{name}): {why}")))
    }

    /// Commits a batch, all of it or nothing.
    pub(crate) fn commit(&mut self, changes: &[Change], discards: &[(Key, i64)]) -> Result<(), Refused> {
        let last = changes.last().map_or(0, Change::rv);
        let reserve = (last > self.reserved).then_some(last + RESERVED_VERSIONS);
        let durable = |key: &Key| !self.in_memory.get(usize::from(key.resource)).copied().unwrap_or(false);
        let only_in_memory = discards.is_empty() && !changes.iter().any(|change| durable(&change.key));
        if only_in_memory && reserve.is_none() {
            return Ok(());
        }
        let mut written = self.write(changes, discards, reserve).map_err(refused);
        if matches!(written, Err(Refused::Full(_))) && self.start_log_over() {
            written = self.write(changes, discards, reserve).map_err(refused);
        }
        match written {
            Ok(()) => self.reserved = reserve.unwrap_or(self.reserved),
            // A full disk must not hide what runs, nor keep the server from starting. At worst the version of a view is
            // given out again in a later life, when no object was written in this one.
            Err(Refused::Full(why)) if only_in_memory => tracing::error!(%why, "the disk of the data folder is full"),
            Err(why) => return Err(why),
        }
        Ok(())
    }

    /// Copies the write-ahead log into the database, so that it is written again from its beginning and takes no more
    /// room. On a full disk this is what lets deletes through.
    fn start_log_over(&self) -> bool {
        let blocked = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        matches!(blocked, Ok(0))
    }

    fn write(&mut self, changes: &[Change], discards: &[(Key, i64)], reserve: Option<u64>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO objects (id, resource, namespace, name, version, crc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let mut update =
                transaction.prepare_cached("UPDATE objects SET version = ?2, crc = ?3, body = ?4 WHERE id = ?1")?;
            let mut delete = transaction.prepare_cached("DELETE FROM objects WHERE id = ?1")?;
            for change in changes {
                let at = usize::from(change.key.resource);
                if self.in_memory.get(at).copied().unwrap_or(false) {
                    continue;
                }
                let resource = self.names.get(at).map_or("", String::as_str);
                let (key, object) = (&change.key, &change.shown);
                let version = i64::try_from(object.rv).unwrap_or(i64::MAX);
                let crc = || i64::from(checksum(resource, &key.namespace, &key.name, object.rv, &object.bytes));
                match (&change.before, &change.after) {
                    (_, None) => delete.execute(params![object.row])?,
                    (None, Some(_)) => insert.execute(params![
                        object.row,
                        resource,
                        &*key.namespace,
                        &*key.name,
                        version,
                        crc(),
                        &object.bytes[..]
                    ])?,
                    (Some(_), Some(_)) => update.execute(params![object.row, version, crc(), &object.bytes[..]])?,
                };
            }
            for (_, row) in discards {
                delete.execute(params![row])?;
            }
        }
        if let Some(reserved) = reserve {
            write_meta(&transaction, "reserved", i64::try_from(reserved).unwrap_or(i64::MAX))?;
        }
        transaction.commit()
    }

    /// Copies the write-ahead log into the database and empties it, so that the next start is quick.
    pub(crate) fn close(self) {
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log stays as it is; the next start reads it");
        }
    }
}

fn read_meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare("SELECT value FROM meta WHERE name = ?1")?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

fn write_meta(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2 WHERE value <> ?2";
    connection.prepare_cached(sql)?.execute(params![name, value]).map(|_| ())
}

/// CRC-32 over all a row says; lengths are part of it, so that bytes cannot move between columns unseen.
fn checksum(resource: &str, namespace: &str, name: &str, version: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [resource.as_bytes(), namespace.as_bytes(), name.as_bytes(), &version.to_le_bytes(), body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

fn refused(error: rusqlite::Error) -> Refused {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Refused::Full(error.to_string()),
        _ => Refused::Failed(error.to_string()),
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
pub(crate) mod tests;
