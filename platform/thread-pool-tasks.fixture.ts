/** Functions that misbehave in the ways a thread pool must stand. */

let calls = 0;

export function double(n: number): number {
  return 2 * n;
}

export function countCalls(_input: null): number {
  calls += 1;
  return calls;
}

export function wait(milliseconds: number): Promise<number> {
  return new Promise((resolve) => setTimeout(() => resolve(milliseconds), milliseconds));
}

export function spin(_input: null): never {
  for (;;) calls += 1;
}

export function fillHeap(_input: null): never {
  const kept: string[][] = [];
  for (;;) kept.push(Array.from({ length: 10_000 }, (_, index) => `${kept.length}-${index}`));
}

export function fail(message: string): never {
  throw new Error(message);
}

export function exit(_input: null): void {
  process.exit(3);
}

/** A WebAssembly module with one memory, exported as "m": (module (memory (export "m") 1)). */
const MODULE = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 109, 2, 0]);

export function growWasm(megabytes: number): 'grown' | 'refused' {
  // Node's types know WebAssembly only with the DOM's.
  const api = Reflect.get(globalThis, 'WebAssembly');
  const { m } = new api.Instance(new api.Module(MODULE)).exports;
  try {
    m.grow(megabytes * 16);
    return 'grown';
  } catch {
    return 'refused';
  }
}
