use aleph_chain::{ChainTable, Change, Journal, JournalError, KeyValue};
use aleph_storage::{Batch, Scan, Store, Table};

/// The chain's journal in the node's database.
#[derive(Debug, Clone)]
pub(crate) struct StoreJournal(pub(crate) Store);

impl Journal for StoreJournal {
    fn scan(&self, table: ChainTable) -> Result<Vec<KeyValue>, JournalError> {
        let prefix = prefix_of(table);
        let mut found = Vec::new();
        let mut scan = Scan::prefix(prefix);
        loop {
            let page = self.0.scan(place_of(table), &scan)?;
            let full = page.len() == Scan::ROWS_MAX;
            if let Some((last, _)) = page.last().filter(|_| full) {
                scan = Scan::prefix(prefix).after(last.clone());
            }
            found
                .extend(page.into_iter().map(|(key, value)| (key[prefix.len()..].to_vec(), value)));
            if !full {
                return Ok(found);
            }
        }
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), JournalError> {
        let mut batch = Batch::new();
        for Change { table, key, value } in changes {
            let key = [prefix_of(table), &key].concat();
            match value {
                Some(value) => batch.put(place_of(table), key, value),
                None => batch.delete(place_of(table), key),
            }
        }
        Ok(self.0.commit(&batch)?)
    }
}

fn place_of(table: ChainTable) -> Table {
    match table {
        ChainTable::Cursor | ChainTable::Jobs | ChainTable::Nodes => Table::Chain,
        ChainTable::Outbox => Table::Outbox,
    }
}

/// Tells apart what shares a table. No prefix begins another one.
fn prefix_of(table: ChainTable) -> &'static [u8] {
    match table {
        ChainTable::Cursor => b"cursor/",
        ChainTable::Jobs => b"jobs/",
        ChainTable::Nodes => b"nodes/",
        ChainTable::Outbox => b"",
    }
}

#[cfg(test)]
mod tests {
    use aleph_storage::StoreOptions;

    use super::*;

    fn put(table: ChainTable, key: u16, value: &str) -> Change {
        Change { table, key: key.to_be_bytes().into(), value: Some(value.as_bytes().into()) }
    }

    #[test]
    fn tables_are_kept_apart_and_pages_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions { cache_bytes: 1 << 20 }).unwrap();
        let journal = StoreJournal(store);
        let many = Scan::ROWS_MAX as u16 * 2;
        let mut changes: Vec<_> = (0..many).map(|key| put(ChainTable::Jobs, key, "job")).collect();
        for table in [ChainTable::Cursor, ChainTable::Nodes, ChainTable::Outbox] {
            changes.push(put(table, 1, table.name()));
        }
        journal.commit(changes).unwrap();

        let jobs = journal.scan(ChainTable::Jobs).unwrap();
        let keys: Vec<_> = jobs.iter().map(|(key, _)| key.clone()).collect();
        let expected: Vec<_> = (0..many).map(|key| key.to_be_bytes().to_vec()).collect();
        assert_eq!(keys, expected);
        for table in [ChainTable::Cursor, ChainTable::Nodes, ChainTable::Outbox] {
            let rows = journal.scan(table).unwrap();
            assert_eq!(rows, [(vec![0, 1], table.name().as_bytes().to_vec())]);
        }

        let change = Change { table: ChainTable::Outbox, key: vec![0, 1], value: None };
        journal.commit(vec![change]).unwrap();
        assert!(journal.scan(ChainTable::Outbox).unwrap().is_empty());
    }
}
