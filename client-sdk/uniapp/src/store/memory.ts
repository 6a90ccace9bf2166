/** Keeps rows in memory: for tests, and for who starts from nothing each time. */
import type { LocalStore, Section, StoreChange, StoreRow } from './store.js';

/** The rows of a store, and what each change does to them: the definition. */
export class Rows {
  private readonly sections = new Map<Section, Map<string, string>>();

  apply(changes: readonly StoreChange[]): void {
    for (const change of changes) {
      this.applyOne(change);
    }
  }

  /** All rows, ascending by key in each section. */
  all(): StoreRow[] {
    const rows: StoreRow[] = [];
    this.sections.forEach((section, name) => {
      for (const key of [...section.keys()].sort()) {
        rows.push({ section: name, key, value: section.get(key) as string });
      }
    });
    return rows;
  }

  private applyOne(change: StoreChange): void {
    if (change.kind === 'put') {
      const { section, key, value } = change.row;
      this.section(section).set(key, value);
      return;
    }
    const section = this.section(change.section);
    if (change.kind === 'clear') {
      section.clear();
    } else if (change.kind === 'remove') {
      section.delete(change.key);
    } else {
      for (const key of [...section.keys()]) {
        if (key >= change.from && key < change.to) {
          section.delete(key);
        }
      }
    }
  }

  private section(name: Section): Map<string, string> {
    let section = this.sections.get(name);
    if (section === undefined) {
      section = new Map();
      this.sections.set(name, section);
    }
    return section;
  }
}

/** A store that forgets with the program. */
export function memoryStore(): LocalStore {
  const rows = new Rows();
  return {
    load: async () => rows.all(),
    apply: async (changes) => rows.apply(changes),
    close: async () => {},
  };
}
