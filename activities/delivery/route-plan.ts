import {
  type Blocked,
  chooseRoute,
  type RouteCandidate,
  type RouteChoice,
  type RouteRecipient,
  type Ways,
} from '../../domain/senders';

/** Why a way takes nothing now; null = it does. */
export type WayState = { blocked: { cause: Blocked; until: number } | null; probe: boolean };

/** A choice per message, remembered where many share it. */
export class RoutePlan {
  private readonly remembered = new Map<string, RouteChoice>();
  private candidates: readonly RouteCandidate[];

  constructor(
    readonly ways: Ways,
    private states: readonly WayState[],
  ) {
    this.candidates = inState(ways, states);
  }

  /** Whether all messages take the same way. */
  get isUniform(): boolean {
    return this.ways.depends === 'nothing';
  }

  choose(recipient: RouteRecipient, now: number): RouteChoice {
    const { depends, policy } = this.ways;
    if (depends === 'row') return chooseRoute(this.candidates, recipient, policy, now);
    const key = depends === 'group' ? recipient.mxGroup : '';
    const known = this.remembered.get(key);
    if (known) return known;
    const choice = chooseRoute(this.candidates, recipient, policy, now);
    // When to look again is told by the time of the question.
    if (choice.kind === 'route') this.remembered.set(key, choice);
    return choice;
  }

  /** Takes note of when closed ways open again; false: other ways are open than before, and this plan is over. */
  refresh(ways: Ways, states: readonly WayState[]): boolean {
    const same = states.every((state, position) => {
      const before = this.states[position];
      return before?.probe === state.probe && before.blocked?.cause === state.blocked?.cause;
    });
    if (ways !== this.ways || !same) return false;
    if (states.some((state) => state.blocked !== null)) {
      this.states = states;
      this.candidates = inState(ways, states);
    }
    return true;
  }
}

function inState(ways: Ways, states: readonly WayState[]): RouteCandidate[] {
  return ways.ways.map(({ candidate }, position) => ({ ...candidate, ...states[position] }));
}
