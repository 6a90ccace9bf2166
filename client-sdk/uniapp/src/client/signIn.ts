/**
 * Signing in by the app's token provider: when nobody is signed in, and when
 * the kept tokens are refused. Attempts that fail are repeated with a growing
 * delay, while the app is in the foreground.
 */
import { exponential } from '../core/backoff.js';
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import type { Status } from '../model/status.js';

/** Watches the status and asks the provider. */
export class ProviderSignIn {
  private running = false;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private foreground = true;
  private wanted = false;
  private stopped = false;

  constructor(
    private readonly provide: () => Promise<string>,
    private readonly signIn: (idToken: string) => Promise<unknown>,
  ) {}

  onStatus(status: Status): void {
    const expired = status.kind === 'signedOut' && status.reason.kind === 'tokenExpired';
    this.wanted = status.kind === 'authRequired' || expired;
    if (this.wanted) {
      this.attempt();
    } else if (status.kind === 'live') {
      this.failures = 0;
    }
  }

  setForeground(foreground: boolean): void {
    this.foreground = foreground;
    if (foreground) {
      this.clear();
      this.attempt();
    }
  }

  stop(): void {
    this.stopped = true;
    this.clear();
  }

  private attempt(): void {
    const idle = !this.running && this.timer === undefined;
    if (this.wanted && idle && this.foreground && !this.stopped) {
      this.running = true;
      this.run().then(
        () => this.ended(true),
        (error) => this.ended(false, error),
      );
    }
  }

  private async run(): Promise<void> {
    await this.signIn(await this.provide());
  }

  private ended(signedIn: boolean, error?: unknown): void {
    this.running = false;
    if (signedIn || this.stopped || !this.wanted) {
      return;
    }
    if (error instanceof ClientError && isFinal(error)) {
      this.stop();
      return;
    }
    const bound = exponential(RETRY_BASE_MS, this.failures, RETRY_MAX_MS);
    this.failures++;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.attempt();
      },
      bound / 2 + Math.random() * (bound / 2),
    );
  }

  private clear(): void {
    if (this.timer !== undefined) {
      clearTimeout(this.timer);
      this.timer = undefined;
    }
  }
}

/** Asking again would end the same way. */
function isFinal(error: ClientError): boolean {
  const { ExternalLoginClosed, AccountBanned, AccountDeactivated } = ErrorCode;
  return error.is(ExternalLoginClosed) || error.is(AccountBanned) || error.is(AccountDeactivated);
}

const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;
