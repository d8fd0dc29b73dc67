import { expect, test } from 'vitest'
import { parseForwardDrops } from './forward-drops.ts'

test('finds chains that drop what is forwarded, of IPv4 alone', () => {
  const text = `table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER-USER {
	}
}
table ip6 filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet firewall {
	chain forward {
		type filter hook forward priority filter; policy accept;
	}
}
`
  expect(parseForwardDrops(text)).toEqual(['ip filter FORWARD'])
})
