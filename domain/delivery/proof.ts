import { DELIVERY_STATUSES, type DeliveryStatus } from './ledger';

/** Two counts of the same thing that were made independently of each other. */
export interface Equation {
  name: string;
  left: { of: string; count: number };
  right: { of: string; count: number };
  holds: boolean;
}

/** Counts of one campaign run. */
export interface ProofCounts {
  /** Null: the audience has not been counted yet. */
  audienceSize: number | null;
  rows: number;
  byStatus: Partial<Record<DeliveryStatus, number>>;
  acceptedInGroups: number;
  acceptedLate: number;
  counters: { materialised: number } & Record<Lowercase<DeliveryStatus>, number>;
}

/** The ledger's equations (design, section 4 "Proof"). They hold at every moment, not only at the end. */
export function proofOf(counts: ProofCounts): { balanced: boolean; equations: Equation[] } {
  const equations = [
    equation(
      'everybody has a row',
      ['contacts of the audience', counts.audienceSize ?? 0],
      ['rows of the ledger', counts.rows],
    ),
    equation(
      'what was sent was accepted',
      ['rows that are SENT', counts.byStatus.SENT ?? 0],
      ['acceptances counted by the channel and later evidence', counts.acceptedInGroups + counts.acceptedLate],
    ),
    equation(
      'materialised counter',
      ['rows counted while materialising', counts.counters.materialised],
      ['rows of the ledger', counts.rows],
    ),
    ...DELIVERY_STATUSES.map((status) =>
      equation(
        `${status} counter`,
        ['changes counted by processes', counts.counters[lower(status)]],
        [`rows that are ${status}`, counts.byStatus[status] ?? 0],
      ),
    ),
  ];
  return { balanced: equations.every(({ holds }) => holds), equations };
}

function equation(name: string, left: [string, number], right: [string, number]): Equation {
  return {
    name,
    left: { of: left[0], count: left[1] },
    right: { of: right[0], count: right[1] },
    holds: left[1] === right[1],
  };
}

function lower(status: DeliveryStatus): Lowercase<DeliveryStatus> {
  switch (status) {
    case 'QUEUED':
      return 'queued';
    case 'SENDING':
      return 'sending';
    case 'SENT':
      return 'sent';
    case 'FAILED':
      return 'failed';
    case 'UNCONFIRMED':
      return 'unconfirmed';
    case 'CANCELLED':
      return 'cancelled';
  }
}
