/** Delegated keys in IndexedDB: WebCrypto's own handles, whose secret half nothing can read. */

import type { DelegateGrant } from "./delegate.js";
import { LocalProtocolError } from "./errors.js";

const DATABASE = "qubic-realtime";
const STORE = "delegates";

export interface KeptDelegate {
  readonly pair: CryptoKeyPair;
  readonly grant: DelegateGrant;
}

export async function findKept(name: string): Promise<KeptDelegate | null> {
  const found: unknown = await inStore("readonly", (store) => store.get(name));
  return (found as KeptDelegate | undefined) ?? null;
}

export async function keep(name: string, kept: KeptDelegate): Promise<void> {
  await inStore("readwrite", (store) => store.put(kept, name));
}

export async function forgetKept(name: string): Promise<void> {
  await inStore("readwrite", (store) => store.delete(name));
}

async function inStore(
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  const database = await openDatabase();
  try {
    const transaction = database.transaction(STORE, mode);
    const asked = act(transaction.objectStore(STORE));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB gave up"));
    });
    return asked.result;
  } finally {
    database.close();
  }
}

function openDatabase(): Promise<IDBDatabase> {
  if (typeof indexedDB === "undefined") {
    throw new LocalProtocolError("a delegate with a name needs IndexedDB, which is not here");
  }
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => void opening.result.createObjectStore(STORE);
  return new Promise((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error ?? new Error("IndexedDB can't be opened"));
  });
}
