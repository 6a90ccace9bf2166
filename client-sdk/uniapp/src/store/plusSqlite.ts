/**
 * `plus.sqlite` of App: tick the SQLite module in the manifest. Opening twice
 * fails on the platform, so a database that is open already is used as it is.
 */
import type { LocalStore, Section, StoreChange, StoreRow } from './store.js';

/** As much of `plus.sqlite` as is used. */
export interface PlusSqlite {
  isOpenDatabase(options: { name: string; path: string }): boolean;
  openDatabase(options: PlusOptions & { path: string }): void;
  closeDatabase(options: PlusOptions): void;
  executeSql(options: PlusOptions & { sql: string | string[] }): void;
  selectSql(options: {
    name: string;
    sql: string;
    success(rows: Record<string, string>[]): void;
    fail(error: unknown): void;
  }): void;
  transaction(options: PlusOptions & { operation: 'begin' | 'commit' | 'rollback' }): void;
}

interface PlusOptions {
  name: string;
  success(): void;
  fail(error: unknown): void;
}

declare const plus: { sqlite: PlusSqlite };

/** Keeps state in the database `name` of the app. */
export function plusSqliteStore(name = 'hongyan'): LocalStore {
  const path = `_doc/${name}.db`;
  const sqlite = () => plus.sqlite;
  const execute = (sql: string[]) =>
    call((options) => sqlite().executeSql({ ...options, name, sql }));
  const transaction = (operation: 'begin' | 'commit' | 'rollback') =>
    call((options) => sqlite().transaction({ ...options, name, operation }));
  return {
    async load() {
      if (!sqlite().isOpenDatabase({ name, path })) {
        await call((options) => sqlite().openDatabase({ ...options, name, path }));
      }
      await execute([CREATE]);
      const rows = await select(
        sqlite(),
        name,
        'SELECT section, key, value FROM rows ORDER BY section, key',
      );
      return rows.map(readRow);
    },
    async apply(changes) {
      await transaction('begin');
      try {
        await execute(changes.map(statement));
        await transaction('commit');
      } catch (error) {
        await transaction('rollback').catch(() => {});
        throw error;
      }
    },
    close: () => call((options) => sqlite().closeDatabase({ ...options, name })),
  };
}

/** The statement of a change. Text is all that goes in, quoted as SQL asks. */
function statement(change: StoreChange): string {
  switch (change.kind) {
    case 'put': {
      const { section, key, value } = change.row;
      return `INSERT OR REPLACE INTO rows (section, key, value) VALUES (${quote(section)}, ${quote(key)}, ${quote(value)})`;
    }
    case 'remove':
      return `DELETE FROM rows WHERE section = ${quote(change.section)} AND key = ${quote(change.key)}`;
    case 'removeRange':
      return `DELETE FROM rows WHERE section = ${quote(change.section)} AND key >= ${quote(change.from)} AND key < ${quote(change.to)}`;
    case 'clear':
      return `DELETE FROM rows WHERE section = ${quote(change.section)}`;
  }
}

function quote(text: string): string {
  // A NUL would end the statement on some platforms; JSON never has one.
  return `'${text.replace(/\0/g, '').replace(/'/g, "''")}'`;
}

function readRow(row: Record<string, string>): StoreRow {
  const { section, key = '', value = '' } = row;
  return { section: section as Section, key, value };
}

function select(sqlite: PlusSqlite, name: string, sql: string): Promise<Record<string, string>[]> {
  return new Promise((success, fail) => {
    sqlite.selectSql({ name, sql, success, fail: (error) => fail(asError(error)) });
  });
}

function call(start: (options: Pick<PlusOptions, 'fail' | 'success'>) => void): Promise<void> {
  return new Promise((done, failed) => {
    start({ success: () => done(), fail: (error) => failed(asError(error)) });
  });
}

function asError(error: unknown): Error {
  const { message } = (error ?? {}) as { message?: unknown };
  return new Error(typeof message === 'string' ? message : 'the database failed');
}

const CREATE =
  'CREATE TABLE IF NOT EXISTS rows (section TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (section, key))';
