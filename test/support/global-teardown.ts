/** Stops what the suites have started. */
export default async function globalTeardown(): Promise<void> {
  await globalThis.sallyTestStackServer?.close();
}
