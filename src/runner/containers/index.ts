export { connectInPod } from './port-forward.ts';
export { createProcessRuntime, type ProcessRuntimeOptions } from './runtime.ts';
export { execTool, type ToolOptions } from './tool.ts';
