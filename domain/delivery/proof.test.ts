import { type ProofCounts, proofOf } from './proof';

const counters = { materialised: 10, queued: 1, sending: 1, sent: 5, failed: 1, unconfirmed: 1, cancelled: 1 };
const good: ProofCounts = {
  audienceSize: 10,
  rows: 10,
  byStatus: { QUEUED: 1, SENDING: 1, SENT: 5, FAILED: 1, UNCONFIRMED: 1, CANCELLED: 1 },
  acceptedInGroups: 4,
  acceptedLate: 1,
  counters,
};

function broken(counts: Partial<ProofCounts>): string[] {
  const { balanced, equations } = proofOf({ ...good, ...counts });
  expect(balanced).toBe(false);
  return equations.filter(({ holds }) => !holds).map(({ name }) => name);
}

describe('the proof of the ledger', () => {
  test('holds when all independent counts agree', () => {
    expect(proofOf(good).balanced).toBe(true);
    expect(proofOf(good).equations).toHaveLength(9);
  });

  test('holds before the audience is counted, while there are no rows', () => {
    const none = { materialised: 0, queued: 0, sending: 0, sent: 0, failed: 0, unconfirmed: 0, cancelled: 0 };
    const empty = { audienceSize: null, rows: 0, byStatus: {}, acceptedInGroups: 0, acceptedLate: 0, counters: none };
    expect(proofOf(empty).balanced).toBe(true);
  });

  test('names a contact that got no row', () => {
    expect(broken({ audienceSize: 11 })).toEqual(['everybody has a row']);
  });

  test('names an acceptance without a SENT row, and a SENT row without an acceptance', () => {
    expect(broken({ acceptedLate: 2 })).toEqual(['what was sent was accepted']);
    expect(broken({ acceptedInGroups: 3 })).toEqual(['what was sent was accepted']);
  });

  test('names the counter that differs from the rows', () => {
    expect(broken({ counters: { ...counters, queued: 2 } })).toEqual(['QUEUED counter']);
    expect(broken({ counters: { ...counters, materialised: 9 } })).toEqual(['materialised counter']);
  });
});
