/** Where the story is told: standard output, or what a test gives. */
export interface Stage {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface ProgressBar {
  /** Shows how far it is, with a word beside it. */
  set(done: number, note?: string): void;
  /** Leaves the bar as it is and goes to the next line. */
  end(note?: string): void;
}

const WIDTH = 30;

/** 4921 → "4,921" */
export function thousands(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** "1 row", "2 rows" */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${thousands(value)} ${value === 1 ? one : many}`;
}

/** Tells the story step by step. On a terminal bars are redrawn in place; elsewhere they are a few plain lines. */
export class Narrator {
  #chapters = 0;
  readonly #begun = Date.now();

  constructor(private readonly stage: Stage) {}

  chapter(title: string): void {
    this.#chapters += 1;
    const seconds = ((Date.now() - this.#begun) / 1_000).toFixed(0);
    this.stage.write(`\n${this.#bold(`${this.#chapters}. ${title}`)}  ${this.#dim(`(${seconds} s)`)}\n`);
  }

  say(line: string): void {
    this.stage.write(`   ${line}\n`);
  }

  /** Rows with their first columns aligned. */
  table(rows: readonly (readonly [string, string])[]): void {
    const width = Math.max(...rows.map(([name]) => name.length));
    for (const [name, value] of rows) this.say(`${name.padEnd(width)}  ${value}`);
  }

  bar(label: string, total: number): ProgressBar {
    let last = '';
    let quarter = 0;
    const text = (done: number, note: string): string => {
      const share = total === 0 ? 1 : Math.min(1, done / total);
      const full = Math.round(share * WIDTH);
      const drawn = '█'.repeat(full) + '░'.repeat(WIDTH - full);
      return `   ${label} ${drawn} ${thousands(done)} of ${thousands(total)}${note === '' ? '' : `  ${note}`}`;
    };
    let shown = 0;
    const set = (done: number, note = ''): void => {
      shown = done;
      const line = text(done, note);
      if (line === last) return;
      if (this.stage.isTTY) {
        this.stage.write(`\r${line.slice(0, (this.stage.columns ?? 120) - 1)}\x1b[K`);
        last = line;
        return;
      }
      const reached = total === 0 ? 4 : Math.floor((done / total) * 4);
      if (reached <= quarter) return;
      quarter = reached;
      last = line;
      this.stage.write(`${line}\n`);
    };
    const end = (note = ''): void => {
      if (this.stage.isTTY) this.stage.write(`\r${text(shown, note)}\x1b[K\n`);
      else if (text(shown, note) !== last) this.stage.write(`${text(shown, note)}\n`);
    };
    return { set, end };
  }

  #bold(text: string): string {
    return this.stage.isTTY ? `\x1b[1m${text}\x1b[0m` : text;
  }

  #dim(text: string): string {
    return this.stage.isTTY ? `\x1b[2m${text}\x1b[0m` : text;
  }
}
