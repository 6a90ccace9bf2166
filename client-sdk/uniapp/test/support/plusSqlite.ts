/**
 * A stand-in for `plus.sqlite` of App over a real SQLite: the calls are the
 * platform's, the SQL is carried out for real.
 */
import initSqlJs, { type Database } from 'sql.js';
import type { PlusSqlite } from '../../src/store/plusSqlite.js';

type Callbacks = { success(): void; fail(error: unknown): void };

const SQL = await initSqlJs();

export class FakePlusSqlite implements PlusSqlite {
  failNextCommit = false;
  private readonly database: Database = new SQL.Database();
  private open = false;

  isOpenDatabase(): boolean {
    return this.open;
  }

  openDatabase({ success, fail }: Callbacks): void {
    if (this.open) {
      // As on the platform: a second open is refused.
      fail({ code: -1402, message: 'Same Name Already Open' });
      return;
    }
    this.open = true;
    setTimeout(success, 0);
  }

  closeDatabase({ success }: Callbacks): void {
    this.open = false;
    setTimeout(success, 0);
  }

  transaction({ operation, success, fail }: Callbacks & { operation: string }): void {
    const failing = operation === 'commit' && this.failNextCommit;
    this.failNextCommit = this.failNextCommit && !failing;
    this.answer(failing ? 'SELECT no_such_function()' : operation, success, fail);
  }

  executeSql({ sql, success, fail }: Callbacks & { sql: string | string[] }): void {
    this.answer([sql].flat().join(';'), success, fail);
  }

  selectSql({ sql, success, fail }: SelectOptions): void {
    const [result] = this.database.exec(sql);
    const rows = (result?.values ?? []).map((values) =>
      Object.fromEntries(values.map((value, at) => [result?.columns[at], String(value)])),
    );
    setTimeout(() => (this.open ? success(rows) : fail({ message: 'Not Open' })), 0);
  }

  private answer(sql: string, success: () => void, fail: (error: unknown) => void): void {
    let problem: string | undefined;
    try {
      this.database.run(sql);
    } catch (error) {
      problem = String(error);
    }
    setTimeout(() => (problem === undefined ? success() : fail({ code: -1, message: problem })), 0);
  }
}

interface SelectOptions {
  sql: string;
  success(rows: Record<string, string>[]): void;
  fail(error: unknown): void;
}
