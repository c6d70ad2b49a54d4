import { firstChoiceShares, rankedPositions } from '../../senders';
import { Line, type StreamCourse } from './line';
import type { ForecastInput, ForecastRow } from './types';

/** Rows that are treated alike belong to one line: of the same stream, group, and order of ways. */
export function linesOf(input: ForecastInput, streams: ReadonlyMap<string, StreamCourse>): Line[] {
  const lines = new Map<string, Line>();
  const places = new Map(input.rows.map((row, place) => [row, place]));
  for (const cell of cellsOf(input.rows)) {
    for (const { row, order, weight } of balanced(cell)) {
      const stream = streams.get(row.streamId);
      if (!stream) continue;
      const key = `${cell.key} ${order}`;
      const line = lines.get(key) ?? new Line(stream, row.mxGroup, row.ways, row);
      line.add(row, weight, places.get(row) ?? 0);
      lines.set(key, line);
    }
  }
  for (const line of lines.values()) line.sort();
  return [...lines.values()];
}

/** Rows of one stream and mailbox-provider group with the same ways: what differs is whom the dice give them to. */
interface Cell {
  key: string;
  rows: ForecastRow[];
}

function cellsOf(rows: readonly ForecastRow[]): Cell[] {
  const cells = new Map<string, Cell>();
  const numbers = new Map<object, number>();
  for (const row of rows) {
    const request = numbers.get(row.ways) ?? numbers.size;
    numbers.set(row.ways, request);
    const group = row.ways.depends === 'nothing' ? '' : row.routingGroup;
    const key = `${row.streamId} ${row.mxGroup} ${request} ${group}`;
    const cell = cells.get(key) ?? { key, rows: [] };
    cell.rows.push(row);
    cells.set(key, cell);
  }
  return [...cells.values()];
}

/**
 * The rows of a cell with the order in which each asks its ways. In a sample, the dice of a few rows stand for those of
 * many, which come much nearer to the shares that are expected: the weights are made to add up to these.
 */
function balanced({ rows }: Cell): { row: ForecastRow; order: string; weight: number }[] {
  const [first] = rows;
  if (!first) return [];
  const { ways, routingGroup } = first;
  if (ways.depends !== 'row') return rows.map((row) => ({ row, order: '', weight: row.weight }));
  const candidates = ways.ways.map(({ candidate }) => candidate);
  const ranked = rows.map((row) => {
    const positions = rankedPositions(candidates, { deliveryId: row.deliveryId, mxGroup: routingGroup }, ways.policy);
    return { row, order: positions.join(), first: positions[0] ?? -1, weight: row.weight };
  });
  if (rows.every(({ weight }) => weight === 1)) return ranked;
  const found = new Map<number, number>();
  for (const { first: position, weight } of ranked) found.set(position, (found.get(position) ?? 0) + weight);
  const shares = firstChoiceShares(candidates, routingGroup, ways.policy);
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((all, n) => all + n, 0);
  // Of shares so small that no row of the sample has them, the others have that little more.
  const known = sum([...found.keys()].map((position) => shares.get(position) ?? 0));
  if (known === 0) return ranked;
  const all = sum(found.values());
  return ranked.map((entry) => {
    const wanted = (all * (shares.get(entry.first) ?? 0)) / known;
    return { ...entry, weight: (entry.weight * wanted) / (found.get(entry.first) ?? 1) };
  });
}
