import { apiSuite } from '../kube/suite.ts';
import { TestServer } from './testkit/server.ts';

apiSuite('the embedded API in process', async () => {
  const server = await TestServer.start();
  return { api: server.api.localApi('test'), stop: () => server[Symbol.asyncDispose]() };
});

apiSuite('the embedded API over TLS', async () => {
  const server = await TestServer.start();
  const client = server.client();
  return {
    api: client,
    async stop() {
      client[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});
