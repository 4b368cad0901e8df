// Two identities, so that a Batch node can do less than the function app: it reads and writes task data, nothing else.
param location string
param tags object
param appIdentityName string
param nodeIdentityName string

resource appIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: appIdentityName
  location: location
  tags: tags
}

resource nodeIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: nodeIdentityName
  location: location
  tags: tags
}

output appIdentityId string = appIdentity.id
output appPrincipalId string = appIdentity.properties.principalId
output appClientId string = appIdentity.properties.clientId
output nodeIdentityId string = nodeIdentity.id
output nodePrincipalId string = nodeIdentity.properties.principalId
output nodeClientId string = nodeIdentity.properties.clientId
