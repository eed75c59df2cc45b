import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { ask } from './testkit/objects.ts';
import { dns, recipeNamespaces, recipePolicies, recipes, recipesFolder } from './testkit/recipes.ts';

for (const { number, document, intent, with: others = [], pods, open = [], closed = [] } of recipes)
  test(`NP1, NP4: recipe ${number}${document === undefined ? '' : `, step ${document + 1}`} ${intent}`, () => {
    const policies = [...others.flatMap((other) => recipePolicies(other)), ...recipePolicies(number, document)];
    const all = [...recipeNamespaces, ...new Set([dns, ...pods]), ...policies];
    for (const { allowed, world } of [ask(...all), ask(...all.toReversed())]) {
      assert.equal(world.policies.length, policies.length);
      for (const asked of open) assert.ok(allowed(...asked), `${asked.join(' ')} must be open`);
      for (const asked of closed) assert.equal(allowed(...asked), false, `${asked.join(' ')} must be closed`);
    }
  });

test('every recipe is among them, and each was understood whole', () => {
  const numbers = readdirSync(recipesFolder).map((name) => name.split('-')[0]!);
  assert.deepEqual([...new Set(recipes.map(({ number }) => number))].sort(), numbers.sort());
  for (const number of numbers)
    assert.deepEqual(
      ask(...recipePolicies(number)).world.policies.flatMap(({ problems }) => problems),
      [],
      number,
    );
});
