/** What this package needs of a WebSocket: browsers', Node 22's and the package `ws` have it. */
export interface WebSocketLike {
  binaryType: string;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(
    type: "close",
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
  addEventListener(type: "error", listener: (event: unknown) => void): void;
}

export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** The platform's WebSocket, else that of `ws`, which Node 20 needs beside this package. */
export async function findWebSocket(): Promise<WebSocketClass> {
  const own = (globalThis as { WebSocket?: unknown }).WebSocket;
  if (own !== undefined) return own as WebSocketClass;
  try {
    return (await import("ws")).WebSocket as unknown as WebSocketClass;
  } catch (error) {
    throw new Error("this platform has no WebSocket: npm install ws", { cause: error });
  }
}
