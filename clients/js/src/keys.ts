import type { GrantedKey } from "./messages.js";
import type { Session } from "./session.js";
import { RequestType } from "./tables.js";

/**
 * The keys that may log in for a session's wallet. A session that a key opened sees and revokes
 * that key only.
 */
export class Keys {
  constructor(private readonly session: Session) {}

  /** The living grants, the oldest first. */
  async list(): Promise<GrantedKey[]> {
    return (await this.session.request(RequestType.KEYS_LIST, {})).keys;
  }

  /**
   * End the grant of *key*, or without one all; resolves with how many that were. Their sessions
   * close 4504 on every hub, this one too if it stands on such a key.
   */
  async revoke(key: Uint8Array | null = null): Promise<number> {
    return (await this.session.request(RequestType.KEYS_REVOKE, { key })).revoked;
  }
}
