/** The Rust client as a program: hongyan-chat in plain mode, over raw TCP. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PASSWORD } from './clients.js';

const BINARY =
  process.env.HONGYAN_CHAT ?? resolve(import.meta.dirname, '../../../../target/debug/hongyan-chat');

/** True when the program is there to be run. */
export const hasRustChat = () => existsSync(BINARY);

/** A running hongyan-chat. */
export class RustChat {
  /** What it said, without the time of day. */
  readonly lines: string[] = [];
  private readonly dir = mkdtempSync(join(tmpdir(), 'hongyan-rust-'));
  private readonly child: ChildProcess;
  private waiting: (() => void)[] = [];

  constructor(address: string, name: string) {
    if (!hasRustChat()) {
      throw new Error(`no Rust client at ${BINARY}; build hongyan-chat, or set HONGYAN_CHAT`);
    }
    const password = join(this.dir, 'password');
    writeFileSync(password, `${PASSWORD}\n`);
    const args = ['--server', address, '--name', name, '--password-file', password];
    const mode = ['--register', '--plain', '--data-dir', join(this.dir, 'data')];
    this.child = spawn(BINARY, [...args, ...mode], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, TZ: 'UTC' },
    });
    let rest = '';
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      this.lines.push(...parts.map((line) => line.replace(/^\d\d:\d\d:\d\d /, '')));
      for (const look of this.waiting) {
        look();
      }
    });
  }

  type(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** Waits for a line that matches. */
  said(wanted: RegExp): Promise<string> {
    return new Promise((done) => {
      const look = () => {
        const line = this.lines.find((it) => wanted.test(it));
        if (line !== undefined) {
          this.waiting = this.waiting.filter((it) => it !== look);
          done(line);
        }
      };
      this.waiting.push(look);
      look();
    });
  }

  stop(): Promise<void> {
    return new Promise((done) => {
      const ended = () => {
        rmSync(this.dir, { recursive: true, force: true });
        done();
      };
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        ended();
        return;
      }
      this.child.once('exit', ended);
      this.child.kill('SIGKILL');
    });
  }
}
