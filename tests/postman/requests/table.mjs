// What the tables are made of; make.mjs says what a request takes.
export const request = (name, send, rest = {}) => ({ name, send, ...rest });
export const folder = (name, about, requests) => ({ name, about, requests });

// A check that the answer is this problem.
export const problem = (code) => {
  const check = new Function(`return () => pm.expect(json.code).to.eql('${code}')`)();
  return { [`the code is ${code}`]: check };
};
