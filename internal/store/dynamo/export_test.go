package dynamo

import "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

// Plain returns an item's strings and numbers only.
func Plain(it map[string]types.AttributeValue) map[string]string {
	plain := map[string]string{}
	for name, v := range it {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			plain[name] = v.Value
		case *types.AttributeValueMemberN:
			plain[name] = v.Value
		}
	}
	return plain
}
