import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PlaceSet } from './place-set.ts';

const step = fc.record({ do: fc.constantFrom('add' as const, 'add' as const, 'delete' as const, 'clear' as const), place: fc.integer({ min: -40, max: 200 }) });

test('a set of places holds what a Set holds, in its order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (history) => {
      const [places, model] = [new PlaceSet(), new Set<number>()];
      for (const { do: what, place } of history) {
        if (what === 'clear' && place % 8 !== 0) continue;
        places[what](place);
        model[what](place);
        assert.deepEqual([[...places], places.size, places.has(place)], [[...model], model.size, model.has(place)]);
      }
    }),
  );
});
