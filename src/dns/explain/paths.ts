import type { Answerer } from '../../unix/http.ts';
import { type Explainer, type ExplainRequest, UnknownPodError } from './explain.ts';

/** `/explain/REQUEST` of the health socket; REQUEST is JSON of ExplainRequest, percent-encoded. */
export const explainPaths = (explainer: Explainer): Record<string, Answerer> => ({
  '/explain/': async (request) => {
    try {
      return { body: await explainer.explain(JSON.parse(request) as ExplainRequest) };
    } catch (error) {
      if (error instanceof UnknownPodError) return { code: 404, body: error.message };
      if (error instanceof SyntaxError) return { code: 400, body: error.message };
      throw error;
    }
  },
});
