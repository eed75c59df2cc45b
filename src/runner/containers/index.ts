export { connectInPod } from './port-forward.ts';
export { createProcessRuntime } from './runtime.ts';
export { execTool } from './tool.ts';
