export { bridgeCounters, type DoorNode, linkLocalOf, planDoor, planGuest, reasons } from './plan.ts';
