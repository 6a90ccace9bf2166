/**
 * A stand-in for `plus.sqlite` of App: statements of the kinds that the store
 * makes, parsed and carried out. It stands in for the platform only.
 */
import type { PlusSqlite } from '../../src/store/plusSqlite.js';

type Callbacks = { success(): void; fail(error: unknown): void };

export class FakePlusSqlite implements PlusSqlite {
  failNextWrite = false;
  private open = false;
  private rows = new Map<string, Record<string, string>>();
  private before: Map<string, Record<string, string>> | undefined;

  isOpenDatabase(): boolean {
    return this.open;
  }

  openDatabase({ success, fail }: Callbacks): void {
    // As on the platform: a second open is refused.
    this.answer(!this.open, success, fail, 'Same Name Already Open');
    this.open = true;
  }

  closeDatabase({ success, fail }: Callbacks): void {
    this.answer(this.open, success, fail, 'Not Open');
    this.open = false;
  }

  transaction({ operation, success, fail }: Callbacks & { operation: string }): void {
    if (operation === 'begin') {
      this.answer(this.before === undefined, success, fail, 'within a transaction');
      this.before = new Map(this.rows);
      return;
    }
    this.answer(this.before !== undefined, success, fail, 'no transaction');
    if (operation === 'rollback' && this.before !== undefined) {
      this.rows = this.before;
    }
    this.before = undefined;
  }

  executeSql({ sql, success, fail }: Callbacks & { sql: string | string[] }): void {
    for (const statement of [sql].flat()) {
      const isWrite = !statement.startsWith('CREATE');
      this.execute(statement);
      if (isWrite && this.failNextWrite) {
        this.failNextWrite = false;
        return this.answer(false, success, fail, 'disk full');
      }
    }
    this.answer(true, success, fail, '');
  }

  selectSql({ success }: { success(rows: Record<string, string>[]): void }): void {
    const rows = [...this.rows.keys()].sort().map((key) => ({ ...this.rows.get(key) }));
    setTimeout(() => success(rows as Record<string, string>[]), 0);
  }

  private execute(statement: string): void {
    const literals = [...statement.matchAll(/'((?:[^']|'')*)'/g)].map(([, text]) =>
      String(text).replaceAll("''", "'"),
    );
    const [section = '', key = '', third = ''] = literals;
    if (statement.startsWith('INSERT OR REPLACE')) {
      this.rows.set(`${section}\n${key}`, { section, key, value: third });
    } else if (statement.startsWith('DELETE')) {
      for (const [place, row] of this.rows) {
        if (row.section === section && matches(statement, row.key ?? '', key, third)) {
          this.rows.delete(place);
        }
      }
    } else if (!statement.startsWith('CREATE TABLE IF NOT EXISTS')) {
      throw new Error(`not understood: ${statement}`);
    }
  }

  private answer(
    ok: boolean,
    success: () => void,
    fail: (error: unknown) => void,
    message: string,
  ) {
    setTimeout(() => (ok ? success() : fail({ code: -1, message })), 0);
  }
}

function matches(statement: string, rowKey: string, key: string, to: string): boolean {
  if (statement.includes('AND key = ')) {
    return rowKey === key;
  }
  return !statement.includes('AND key >= ') || (rowKey >= key && rowKey < to);
}
