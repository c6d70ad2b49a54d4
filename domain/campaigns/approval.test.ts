import { approvalRefusal } from './approval';

const message = { authors: ['ada', 'grace'], submittedBy: 'hedy' };

describe('who may approve', () => {
  test('with four eyes: nobody who submitted or wrote a part', () => {
    expect(approvalRefusal('FOUR_EYES', message, 'hedy')).toMatch(/submitted/);
    expect(approvalRefusal('FOUR_EYES', message, 'ada')).toMatch(/wrote/);
    expect(approvalRefusal('FOUR_EYES', message, 'edith')).toBeNull();
  });

  test.each(['SELF', 'OFF'] as const)('with %s: the author too', (mode) => {
    expect(approvalRefusal(mode, message, 'ada')).toBeNull();
    expect(approvalRefusal(mode, message, 'hedy')).toBeNull();
  });
});
