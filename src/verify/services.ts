import type { Family } from '../net/ip.ts';
import type { Check } from './attempt.ts';
import type { VerifyInput, VerifyLimits } from './input.ts';
import type { World } from './world.ts';

export function serviceChecks(_input: VerifyInput, _world: World, _family: Family, _limits: VerifyLimits): Check[] {
  return [];
}
