/** What opens a session, other than a token that is kept. */
export type Credentials =
  /** A token of an external issuer. */
  | { readonly kind: 'external'; readonly idToken: string }
  /** Name and password of an account. */
  | { readonly kind: 'password'; readonly name: string; readonly password: string }
  /** Makes an account. */
  | {
      readonly kind: 'register';
      readonly name: string;
      readonly password: string;
      readonly displayName: string;
    };
