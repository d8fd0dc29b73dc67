/** What proves to a registry who asks. */
export type RegistryCredential =
  | { username: string; password: string }
  /** A refresh token, which is exchanged for access tokens. */
  | { identityToken: string }
