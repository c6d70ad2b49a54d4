/**
 * One row of CSV (RFC 4180). A cell that a spreadsheet program would run as a formula gets an apostrophe in front
 * (OWASP, "CSV Injection").
 */
export function csvRow(cells: readonly string[]): string {
  const written = cells.map((cell) => {
    const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\r\n;]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  });
  return `${written.join(',')}\r\n`;
}
