/**
 * Shapes of wire values: each checks and converts in both directions.
 *
 * A body is an array on the wire and a typed object here. What does not fit is refused with the
 * path of the value, never passed on.
 */

/** Named facts for people and programs, such as limits or the values behind an error. */
export type Facts = Record<string, number | string>;

export class ShapeError extends Error {
  override readonly name = "ShapeError";
  constructor(
    readonly path: string,
    expected: string,
  ) {
    super(`${path || "body"}: expected ${expected}`);
  }
}

/** One shape. `read` takes what the wire held, `write` makes what goes on it. */
export interface Shape<T> {
  read(value: unknown, path: string): T;
  write(value: T, path: string): unknown;
}

/** A shape whose value looks the same here and on the wire. */
function same<T>(expected: string, fits: (value: unknown) => boolean): Shape<T> {
  const check = (value: unknown, path: string): T => {
    if (!fits(value)) throw new ShapeError(path, expected);
    return value as T;
  };
  return { read: check, write: check };
}

export const bool: Shape<boolean> = same("true or false", (value) => typeof value === "boolean");

/** Anything: an element whose shape the reader knows later. */
export const anything: Shape<unknown> = same("anything", () => true);

export function uint(least: number, most: number): Shape<number> {
  return same(
    `a whole number from ${least} to ${most}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

export function text(lettersMax: number): Shape<string> {
  return same(
    `a text of at most ${lettersMax} letters`,
    (value) => typeof value === "string" && [...value].length <= lettersMax,
  );
}

/** Bytes; a copy is read, so that a small key does not keep its whole frame alive. */
export function bytes(least: number, most: number): Shape<Uint8Array> {
  const expected = least === most ? `${least} bytes` : `${least} to ${most} bytes`;
  const shape = same<Uint8Array>(
    expected,
    (value) => value instanceof Uint8Array && value.length >= least && value.length <= most,
  );
  return { read: (value, path) => Uint8Array.from(shape.read(value, path)), write: shape.write };
}

export function oneOf<T extends number>(values: Readonly<Record<string, T>>): Shape<T> {
  const known = new Set<unknown>(Object.values(values));
  return same(`one of ${[...known].join(", ")}`, (value) => known.has(value));
}

export function optional<T>(inner: Shape<T>): Shape<T | null> {
  return {
    read: (value, path) => (value === null ? null : inner.read(value, path)),
    write: (value, path) => (value === null ? null : inner.write(value, path)),
  };
}

/** One shape or the other; bytes and arrays tell them apart. */
export function either<A, B>(first: Shape<A>, second: Shape<B>): Shape<A | B> {
  const attempt = <T>(one: () => T, other: () => T): T => {
    try {
      return one();
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      return other();
    }
  };
  return {
    read: (value, path) =>
      attempt<A | B>(() => first.read(value, path), () => second.read(value, path)),
    write: (value, path) =>
      attempt(() => first.write(value as A, path), () => second.write(value as B, path)),
  };
}

export function list<T>(inner: Shape<T>, least = 0, most = Infinity): Shape<T[]> {
  const check = (value: unknown, path: string): unknown[] => {
    if (!Array.isArray(value) || value.length < least || value.length > most) {
      throw new ShapeError(path, `a list of ${least} to ${most} elements`);
    }
    return value;
  };
  return {
    read: (value, path) => check(value, path).map((item, at) => inner.read(item, `${path}[${at}]`)),
    write: (value, path) =>
      check(value, path).map((item, at) => inner.write(item as T, `${path}[${at}]`)),
  };
}

/** A map of at most *entriesMax* names, each to a text or a whole number. */
export function facts(entriesMax: number): Shape<Facts> {
  return same(`a map of at most ${entriesMax} names to texts or whole numbers`, (value) => {
    if (!isPlainObject(value)) return false;
    const values = Object.values(value);
    return values.length <= entriesMax && values.every(isFact);
  });
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && [Object.prototype, null].includes(
    Object.getPrototypeOf(value) as object | null,
  );
}

function isFact(value: unknown): boolean {
  return typeof value === "string" || (Number.isSafeInteger(value) && (value as number) >= 0);
}

/**
 * A body: an array with fixed positions. Fields with a default may be absent at the end;
 * elements beyond the known ones are ignored, since a body grows at its end.
 */
export function struct<T extends object>(
  name: string,
  fields: { readonly [K in keyof T]: Shape<T[K]> },
  defaults: Partial<T> = {},
): Shape<T> {
  const entries = Object.entries(fields) as [string, Shape<unknown>][];
  const fallbacks = defaults as Record<string, unknown>;
  const required = entries.filter(([field]) => !(field in fallbacks)).length;
  return {
    read(value, path) {
      if (!Array.isArray(value) || value.length < required) {
        throw new ShapeError(path, `${name}, an array of at least ${required} elements`);
      }
      const made = entries.map(([field, shape], at) => [
        field,
        at < value.length
          ? shape.read(value[at], `${path}.${field}`)
          : structuredClone(fallbacks[field]),
      ]);
      return Object.fromEntries(made) as T;
    },
    write(value, path) {
      if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) {
        throw new ShapeError(path, name);
      }
      const given = value as Record<string, unknown>;
      return entries.map(([field, shape]) =>
        shape.write(given[field] ?? fallbacks[field] ?? null, `${path}.${field}`),
      );
    },
  };
}
