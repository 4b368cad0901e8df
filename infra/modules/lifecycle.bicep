// What happens to data that no function touches any more: a safety net under the archive function.
param accountName string
param landingContainer string
param workContainer string
param landingArchiveAfterDays int
param workDeleteAfterDays int

// Folders of analyses in the work container begin with a hexadecimal digit; its indexes (open/, intake/) do not and stay.
// A rule takes at most ten prefixes, hence two rules.
var hexDigitHalves = [
  ['0', '1', '2', '3', '4', '5', '6', '7']
  ['8', '9', 'a', 'b', 'c', 'd', 'e', 'f']
]

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

var archiveRule = {
  name: 'landing-to-archive'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: ['${landingContainer}/'] }
    actions: { baseBlob: { tierToArchive: { daysAfterModificationGreaterThan: landingArchiveAfterDays } } }
  }
}

var deleteRules = [
  for digits in hexDigitHalves: {
    name: 'work-deleted-${digits[0]}'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: { blobTypes: ['blockBlob', 'appendBlob'], prefixMatch: map(digits, digit => '${workContainer}/${digit}') }
      actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: workDeleteAfterDays } } }
    }
  }
]

resource policy 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: { rules: concat([archiveRule], deleteRules) }
  }
}
